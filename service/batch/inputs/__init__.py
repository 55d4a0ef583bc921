"""What the command line names, to items."""
