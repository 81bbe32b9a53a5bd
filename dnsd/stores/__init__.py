"""Where drain state is kept: one protocol, and a module for each store behind it."""
