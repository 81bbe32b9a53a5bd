"""The Lua scripts that Redis runs for us, each one step that nothing comes between."""

from __future__ import annotations

from importlib.resources import files


def source(name: str) -> str:
    """Return the text of a script of this folder."""
    return (files(__package__) / f"{name}.lua").read_text(encoding="utf-8")


COMMIT = source("commit")
PUT_REPORTS = source("put_reports")
CONSUMERS = source("consumers")
