"""Digitstrip's service: reads strips of handwritten digits. It never imports torch."""
