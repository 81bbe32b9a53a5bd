"""Composition: the control process put together from its parts, and its life from start to SIGTERM."""

from dnsd.daemon.serving import serve

__all__ = ["serve"]
