"""What the agent's machine wants done: lines for the log, hooks, and a report at once. The shell carries it out."""

from __future__ import annotations

from dataclasses import dataclass

from dnsd.api.schemas import ModeName


@dataclass(frozen=True, slots=True)
class Say:
    """A line for the log."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class RunHook:
    """A hook to be run, after those of the same role that were asked for before."""

    event: str
    role: str
    mode: ModeName


@dataclass(frozen=True, slots=True)
class AskAgain:
    """There is news for the server, or a report was dropped: the next report is due at once."""


Effect = Say | RunHook | AskAgain
