"""Protobuf to domain and back, and the use case under every face."""
