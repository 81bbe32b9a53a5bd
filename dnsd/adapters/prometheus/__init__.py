"""Prometheus: the nodes of the fleet as scrape targets, over its service discovery by HTTP."""
