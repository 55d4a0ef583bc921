"""What a network learns, and the loop that teaches it."""
