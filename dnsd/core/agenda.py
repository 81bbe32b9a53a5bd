"""When time alone next changes something of each node: at most one entry a node counts, the earliest.

It owns the order of instants. It knows no clock, and not what is due.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator


class Agenda:
    """Nodes by the instant at which to look at them again."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, str]] = []
        self._noted: dict[str, float] = {}

    @property
    def next(self) -> float | None:
        """The earliest instant; None: nothing is due, ever."""
        return self._entries[0][0] if self._entries else None

    def note(self, node: str, instant: float) -> None:
        """Note an instant for a node; one that is not before what is noted is passed over."""
        # One entry is enough: a later one is noted when this one is due.
        noted = self._noted.get(node)
        if noted is None or instant < noted:
            self._noted[node] = instant
            heapq.heappush(self._entries, (instant, node))

    def due(self, now: float) -> Iterator[tuple[float, str]]:
        """Take out and yield what is due by now, in order, each with its instant."""
        while self._entries and self._entries[0][0] <= now:
            instant, node = heapq.heappop(self._entries)
            self._noted.pop(node, None)
            yield instant, node

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._noted.clear()
