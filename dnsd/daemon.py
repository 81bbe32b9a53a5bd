"""Composition: the control process put together from its parts."""
