"""The command `digitstrip-train`."""
