"""Envoy's endpoint discovery over REST (docs/integrations/envoy.md)."""
