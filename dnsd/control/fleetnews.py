"""What may have changed of the fleet, for whoever shows it to others and waits for the next change.

One place for every cause: drains and ramps (placed, released, started, expired, a step), registrations, reports and
checks that change a health, reports that get stale, an outage's end, a reload. It owns numbers and the nodes behind
them. It does not know what anybody shows of a node: a number that rises says *look*, not *differs*.

How to use it, as `plane.changed` (an adapter, or a watch):

    seen = plane.changed.number                       # before the fleet is read
    ...                                               # read plane.publisher.fleet, render, send
    seen, nodes = await plane.changed.after(seen)     # nodes to look at again; None: all of them

Whoever waits pays one wake-up for each change, so that many clients of one kind should share one waiter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection

# For how many changes the nodes are remembered; who comes later looks at all of them. Unit: changes.
REMEMBERED = 4_096


class FleetNews:
    """Numbers the changes of a fleet, and wakes those who wait for the next one.

    Attributes:
        number: that of the last change; 0: there was none yet. It is this process's own, and no revision.
    """

    def __init__(self) -> None:
        self.number = 0
        self._told: deque[frozenset[str] | None] = deque(maxlen=REMEMBERED)
        self._risen = asyncio.Event()

    def note(self, nodes: Collection[str] | None) -> None:
        """Take note of a change that is in the fleet already; never waits.

        Args:
            nodes: ids of those that may look different now, or are gone; None: any may, as after a reload.
        """
        self.number += 1
        self._told.append(None if nodes is None else frozenset(nodes))
        self._risen.set()
        self._risen = asyncio.Event()

    def since(self, number: int) -> frozenset[str] | None:
        """Return the ids of the nodes that may have changed after a number; None: any may have.

        Args:
            number: one that was seen here; another, such as that of an earlier process, stands for "all".
        """
        count = self.number - number
        if not 0 <= count <= len(self._told):
            return None
        touched: set[str] = set()
        for place in range(len(self._told) - count, len(self._told)):
            nodes = self._told[place]
            if nodes is None:
                return None
            touched |= nodes
        return frozenset(touched)

    async def after(self, number: int) -> tuple[int, frozenset[str] | None]:
        """Wait until there is a change after a number.

        Returns:
            The present number, and what `since` says.
        """
        while self.number == number:
            await self._risen.wait()
        return self.number, self.since(number)
