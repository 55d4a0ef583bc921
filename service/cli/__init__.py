"""The command `digitstrip`."""
