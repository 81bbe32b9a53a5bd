"""The store that a fleet shares: one Redis for many servers and routers. What stands in it is in `docs/redis.md`."""
