"""The Python client, blocking and async."""
