"""dnsd: authoritative DNS for fleets of nodes, with pooled names that follow drains."""

__version__ = "0.1.0"
