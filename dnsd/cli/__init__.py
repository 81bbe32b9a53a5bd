"""The `dnsd` command."""
