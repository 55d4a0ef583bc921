"""Protobuf to domain and back, and the use case behind every front end."""
