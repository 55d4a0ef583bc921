"""From folders, archives and manifests of images to one table of readings."""
