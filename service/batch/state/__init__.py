"""What a batch has done so far."""
