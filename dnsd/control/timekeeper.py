"""What changes by the passing of time alone: drains that start or expire, reports that get stale."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from dnsd.control.drains import DrainService
from dnsd.control.publisher import Publisher
from dnsd.errors import StoreUnavailable

log = logging.getLogger(__name__)

# The longest sleep, so that a clock that was set does not go unnoticed for longer. Unit: seconds.
LONGEST_SLEEP_SECONDS = 1.0


class Timekeeper:
    """Publishes what time has changed, and has expired drains removed from the store."""

    def __init__(self, publisher: Publisher, drains: DrainService, *, clock: Callable[[], float]) -> None:
        self._publisher = publisher
        self._drains = drains
        self._clock = clock

    async def run(self) -> None:
        """Keep time until cancelled."""
        while True:
            # The answers first: they must be right whether or not the store takes the removal.
            self._publisher.tick()
            await self._remove_expired()
            await self._sleep()

    async def _remove_expired(self) -> None:
        now = self._clock()
        if not any(drain.expired(now) for drain in self._publisher.fleet.all_drains()):
            return
        try:
            await self._drains.expire()
        except StoreUnavailable as error:
            log.debug("expired drains stay listed: %s", error)  # the follower reports the outage
            await asyncio.sleep(LONGEST_SLEEP_SECONDS)

    async def _sleep(self) -> None:
        changed = self._publisher.transitions_changed
        changed.clear()
        due = self._publisher.fleet.next_transition
        left = LONGEST_SLEEP_SECONDS if due is None else min(LONGEST_SLEEP_SECONDS, due - self._clock())
        if left <= 0:
            return
        try:
            async with asyncio.timeout(left):
                await changed.wait()
        except TimeoutError:
            pass
