"""Logs, metrics and spans of every call."""
