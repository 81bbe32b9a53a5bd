"""The store's changes as other writers make them, brought to the publisher.

following ── changes trimmed ──► reloading ──► following
└─ store fails ──► waiting (back-off with jitter) ──► following
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from dnsd.control.publisher import Publisher
from dnsd.control.storehealth import StoreHealth
from dnsd.core.fleet import Fleet
from dnsd.errors import ChangesTrimmed, StoreUnavailable
from dnsd.model.state import FleetState
from dnsd.stores.base import DrainStore

log = logging.getLogger(__name__)

# How long one question for changes may wait for the next one. Unit: seconds.
WAIT_SECONDS = 5.0

# A cut can be overtaken by a commit that lands while it is on its way. Unit: attempts.
MAX_LOADS = 10

# Between attempts while the store is down: doubles from the first to the last. Unit: seconds.
FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 5.0


class Follower:
    """Keeps the publisher's fleet at the store's revision.

    Args:
        rebuild: makes a fleet of a whole state, for when changes were missed.
    """

    def __init__(
        self,
        store: DrainStore,
        publisher: Publisher,
        *,
        rebuild: Callable[[FleetState], Fleet],
        health: StoreHealth,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._rebuild = rebuild
        self._health = health

    async def run(self) -> None:
        """Follow the store until cancelled; an outage is waited out."""
        retry_seconds = FIRST_RETRY_SECONDS
        while True:
            try:
                await self._take_changes(wait_seconds=WAIT_SECONDS)
                retry_seconds = FIRST_RETRY_SECONDS
            except StoreUnavailable as error:
                self._health.failed_to_read(error)
                await asyncio.sleep(retry_seconds * random.uniform(0.5, 1.0))
                retry_seconds = min(retry_seconds * 2, LAST_RETRY_SECONDS)

    async def catch_up(self) -> None:
        """Bring the fleet to the store's revision.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        try:
            while await self._take_changes(wait_seconds=0.0):
                pass
        except StoreUnavailable as error:
            self._health.failed_to_read(error)
            raise

    async def _take_changes(self, *, wait_seconds: float) -> bool:
        """Publish what follows the fleet's revision; say whether there was anything."""
        revision = self._publisher.fleet.revision
        try:
            records = await self._store.changes(after=revision, wait_seconds=wait_seconds)
        except ChangesTrimmed:
            state = await self._load()
            # No await from here on: what is published must not become newer than the cut.
            self._publisher.replace(self._rebuild(state))
            log.warning("changes after revision %d are gone: loaded everything anew at %d", revision, state.revision)
            records = ()
        else:
            self._publisher.apply(records)
        self._health.was_read()
        return bool(records)

    async def _load(self) -> FleetState:
        """Return a cut of the store that is not older than what is published.

        Raises:
            StoreUnavailable: the store cannot be read, or has gone back to before what is published.
        """
        for _ in range(MAX_LOADS):
            state = await self._store.load()
            if state.revision >= self._publisher.fleet.revision:
                return state
        raise StoreUnavailable(
            f"the store is at revision {state.revision}, before {self._publisher.fleet.revision}, which is published"
        )
