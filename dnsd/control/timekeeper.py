"""What changes by the passing of time alone: drains that start or expire, reports that get stale.

Answers never wait for the store: the removal of expired drains goes on beside the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from dnsd.control.drains import DrainService
from dnsd.control.overdue import OverdueWatch
from dnsd.control.publisher import Publisher
from dnsd.errors import StoreUnavailable

log = logging.getLogger(__name__)

# The longest sleep, so that a clock that was set does not go unnoticed for longer. Unit: seconds.
LONGEST_SLEEP_SECONDS = 1.0

# Between attempts to remove expired drains while the store takes no writes. Unit: seconds.
RETRY_SECONDS = 1.0


class Timekeeper:
    """Publishes what time has changed, tells of overdue drains, and has expired ones removed from the store."""

    def __init__(
        self, publisher: Publisher, drains: DrainService, overdue: OverdueWatch, *, clock: Callable[[], float]
    ) -> None:
        self._publisher = publisher
        self._drains = drains
        self._overdue = overdue
        self._clock = clock

    async def run(self) -> None:
        """Keep time until cancelled."""
        removal: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as group:
            while True:
                self._publisher.tick()
                self._overdue.look(self._clock())
                if self._publisher.fleet.expired_drains(self._clock()) and (removal is None or removal.done()):
                    removal = group.create_task(self._remove_expired())
                await self._sleep()

    async def _remove_expired(self) -> None:
        try:
            await self._drains.expire()
        except StoreUnavailable as error:
            log.debug("expired drains stay listed: %s", error)  # the outage itself is reported where it is noted
            await asyncio.sleep(RETRY_SECONDS)

    async def _sleep(self) -> None:
        changed = self._publisher.transitions_changed
        changed.clear()
        due = self._publisher.fleet.next_transition
        left = LONGEST_SLEEP_SECONDS if due is None else min(LONGEST_SLEEP_SECONDS, due - self._clock())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left)):
                await changed.wait()
