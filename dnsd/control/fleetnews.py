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
from collections import OrderedDict
from collections.abc import Collection
from itertools import takewhile

# Nodes of which the last change is remembered, the latest ones; who asks about changes before those looks at all nodes.
# By nodes, as one change may be of a whole fleet: a clock that is set back. Unit: nodes.
REMEMBERED = 16_384


class FleetNews:
    """Numbers the changes of a fleet, and wakes those who wait for the next one.

    Attributes:
        number: that of the last change; 0: there was none yet. It is this process's own, and no revision.
    """

    def __init__(self) -> None:
        self.number = 0
        self._changed: OrderedDict[str, int] = OrderedDict()  # node → number of its last change, which rises
        self._known_after = 0  # of changes up to this one, not all nodes are known
        self._risen = asyncio.Event()

    def note(self, nodes: Collection[str] | None) -> None:
        """Take note of a change that is in the fleet already; never waits.

        Args:
            nodes: ids of those that may look different now, or are gone; None: any may, as after a reload.
        """
        self.number += 1
        if nodes is None:
            self._changed.clear()
            self._known_after = self.number
        for node in nodes or ():
            self._changed[node] = self.number
            self._changed.move_to_end(node)
        while len(self._changed) > REMEMBERED:
            _, self._known_after = self._changed.popitem(last=False)
        self._risen.set()
        self._risen = asyncio.Event()

    def since(self, number: int) -> frozenset[str] | None:
        """Return the ids of the nodes that may have changed after a number; None: any may have.

        Args:
            number: one that was seen here; another, such as that of an earlier process, stands for "all".
        """
        if not self._known_after <= number <= self.number:
            return None
        return frozenset(takewhile(lambda node: self._changed[node] > number, reversed(self._changed)))

    async def after(self, number: int) -> tuple[int, frozenset[str] | None]:
        """Wait until there is a change after a number.

        Returns:
            The present number, and what `since` says.
        """
        while self.number == number:
            await self._risen.wait()
        return self.number, self.since(number)
