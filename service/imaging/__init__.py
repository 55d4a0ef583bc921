"""Image bytes to gray pages."""
