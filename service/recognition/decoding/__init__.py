"""Score maps to strings."""
