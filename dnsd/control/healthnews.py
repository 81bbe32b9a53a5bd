"""Events of nodes whose health in a role has changed: each by itself, or many at once as one.

It gathers for a moment: when a site is lost or a fleet's agents report again, listeners are not drowned in events, and
what led up and down again within that moment is no news. It decides nothing of health.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from dnsd.api.schemas import Event
from dnsd.control.events import EventHub
from dnsd.core.fleet import Fleet
from dnsd.model.report import Health

# Changes within this time are told together. Unit: seconds.
GATHER_SECONDS = 0.1

# The most changes that are told one by one; a listener is cut off at `LISTENER_BACKLOG` events. Unit: events.
MAX_SINGLE = 100


class HealthNews:
    """Tells of changes of health.

    Args:
        fleet: gives the present fleet.
        clock: gives the present instant.
    """

    def __init__(self, events: EventHub, *, fleet: Callable[[], Fleet], clock: Callable[[], float]) -> None:
        self._events = events
        self._fleet = fleet
        self._clock = clock
        self._before: dict[tuple[str, str], Health] = {}
        self._noted = asyncio.Event()

    def note(self, changes: Mapping[tuple[str, str], Health]) -> None:
        """Take note of changes.

        Args:
            changes: (node, role) → the health that it had.
        """
        for key, before in changes.items():
            self._before.setdefault(key, before)
        if changes:
            self._noted.set()

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            await asyncio.sleep(GATHER_SECONDS)
            self.tell()

    def tell(self) -> None:
        """Tell of what was noted and is still so."""
        noted, self._before = self._before, {}
        fleet, now = self._fleet(), self._clock()
        changed: list[tuple[str, str, Health, Health]] = []
        for (key, role), before in sorted(noted.items()):
            node = fleet.nodes.get(key)
            if node is not None and (health := fleet.health_of(node, role, now=now)) is not before:
                changed.append((key, role, before, health))
        if len(changed) > MAX_SINGLE:
            counts = Counter(health.value for *_, health in changed)
            self._publish(None, {"changes": len(changed), "became": dict(counts)})
            return
        for key, role, before, health in changed:
            checked = fleet.checks_of(key).get(role)
            reason = None if checked is None else checked.text
            self._publish(key, {"role": role, "health": health.value, "before": before.value, "reason": reason})

    def _publish(self, node: str | None, detail: dict[str, object]) -> None:
        # Not kept: they would push drains out of what can be resumed, and whoever resumes loads the state anyway.
        self._events.publish(
            Event(revision=None, at=self._clock(), type="health", node=node, detail=detail), kept=False
        )
