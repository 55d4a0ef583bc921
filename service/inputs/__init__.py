"""Names on the command line, expanded to items."""
