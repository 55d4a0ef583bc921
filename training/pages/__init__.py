"""Made pages: what is drawn."""
