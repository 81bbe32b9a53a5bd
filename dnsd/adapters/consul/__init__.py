"""Consul: the fleet as its catalog and its health, for clients that ask those; read-only."""
