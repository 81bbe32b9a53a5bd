"""HAProxy's agent-check: one responder for all servers of all backends (docs/integrations/haproxy.md)."""
