"""The HTTP interface as both sides speak it: schemas and the client."""
