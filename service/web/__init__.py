"""HTTP beside gRPC, in the same process: the Connect protocol, `/v1/read`, and the page at `/`."""
