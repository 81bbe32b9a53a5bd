"""The gRPC adapter: over a service that tests turn, and of a real server."""
