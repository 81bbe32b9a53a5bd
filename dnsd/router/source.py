"""What the service asks of whoever keeps the view, be it by a store or by servers."""

from __future__ import annotations

from typing import Protocol


class Source(Protocol):
    """What keeps the view.

    Attributes:
        up: it was reached at the last attempt.
        heard_at: instant at which it was last read; None: never.
        acknowledged: the revision that it has our word for; 0: none.
    """

    up: bool
    heard_at: float | None

    @property
    def acknowledged(self) -> int:
        """See above."""

    @property
    def label(self) -> str:
        """What people call it."""

    async def run(self) -> None:
        """Keep the view until cancelled."""

    async def leave(self) -> None:
        """Say goodbye."""
