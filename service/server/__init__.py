"""The process that speaks gRPC."""
