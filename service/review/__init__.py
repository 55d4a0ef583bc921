"""Review: a person acts on the rows that a batch could not accept, and the loop is closed."""
