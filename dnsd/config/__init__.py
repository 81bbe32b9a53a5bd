"""The configuration file: its schema, its checks, and where in the file a problem stands."""
