"""Measurements: what dnsd costs, beside other servers on the same machine. Nothing here is a test; see README.md."""
