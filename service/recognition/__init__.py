"""A gray page to a reading."""
