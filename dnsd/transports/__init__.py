"""Sockets over the engine: UDP and TCP shells that stay short."""
