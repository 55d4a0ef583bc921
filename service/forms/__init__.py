"""Forms: whole pages with several fields, each with what is known of it."""
