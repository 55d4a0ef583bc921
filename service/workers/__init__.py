"""Processes that decode and recognize."""
