"""Figures of what was read, and what is made of them."""
