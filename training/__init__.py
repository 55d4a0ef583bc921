"""Digitstrip's training: digits to augmented strips to a trained, exported network."""
