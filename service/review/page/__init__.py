"""The page: HTML, CSS and JavaScript modules, as they are served."""
