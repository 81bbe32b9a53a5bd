"""The answering core: bytes and an instant in, bytes out. No socket, clock, randomness or library inside."""
