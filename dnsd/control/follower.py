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
from dnsd.core.fleet import Fleet
from dnsd.errors import ChangesTrimmed, StoreError, StoreUnavailable
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
        clock: Callable[[], float],
    ) -> None:
        self.store_up = True
        self.seen_at = clock()
        self._store = store
        self._publisher = publisher
        self._rebuild = rebuild
        self._clock = clock

    async def catch_up(self) -> None:
        """Bring the fleet to the store's revision.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        try:
            while records := await self._store.changes(after=self._publisher.fleet.revision):
                self._publisher.apply(records)
        except ChangesTrimmed:
            await self._reload()
        self._note_up()

    async def load(self) -> FleetState:
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

    async def run(self) -> None:
        """Follow the store until cancelled; an outage is waited out."""
        retry_seconds = FIRST_RETRY_SECONDS
        while True:
            try:
                revision = self._publisher.fleet.revision
                self._publisher.apply(await self._store.changes(after=revision, wait_seconds=WAIT_SECONDS))
                self._note_up()
                retry_seconds = FIRST_RETRY_SECONDS
            except ChangesTrimmed:
                await self._reload_or_wait()
            except StoreUnavailable as error:
                self.note_down(error)
                await asyncio.sleep(retry_seconds * random.uniform(0.5, 1.0))
                retry_seconds = min(retry_seconds * 2, LAST_RETRY_SECONDS)

    def note_down(self, error: StoreError) -> None:
        """Take note of a failure of the store; logged once for an outage."""
        if self.store_up:
            self.store_up = False
            log.error("the store is unavailable: %s; answers go on from the last known state", error)

    def _note_up(self) -> None:
        self.seen_at = self._clock()
        if not self.store_up:
            self.store_up = True
            log.info("the store is back at revision %d", self._publisher.fleet.revision)

    async def _reload_or_wait(self) -> None:
        try:
            await self._reload()
        except StoreUnavailable as error:
            self.note_down(error)
            await asyncio.sleep(FIRST_RETRY_SECONDS)

    async def _reload(self) -> None:
        log.warning("changes after revision %d are gone: loading everything anew", self._publisher.fleet.revision)
        state = await self.load()
        self._publisher.replace(self._rebuild(state))
