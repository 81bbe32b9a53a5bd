"""Transfers out: what secondaries get, who may have it, and what those who may not are told."""
