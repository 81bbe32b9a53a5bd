"""The admin HTTP interface and web dashboard."""
