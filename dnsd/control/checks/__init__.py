"""Active health checks: what the server finds out of nodes by itself, for fleets without agents and beside them."""
