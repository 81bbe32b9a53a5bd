"""The store's changes as other writers make them, brought to the publisher.

following ── changes trimmed ──► reloading ──► following
    ├─ store has lost writes ──► restoring ──► following
    └─ store fails ──► waiting (back-off with jitter) ──► following
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from dnsd.control.publisher import Publisher
from dnsd.control.recovery import Restoration, restore, union
from dnsd.control.storehealth import StoreHealth
from dnsd.core.fleet import Fleet
from dnsd.errors import ChangesTrimmed, StoreDiverged, StoreUnavailable
from dnsd.model.state import ChangeRecord, FleetState
from dnsd.model.times import to_milliseconds
from dnsd.stores.base import DrainStore

log = logging.getLogger(__name__)

# How long one question for changes may wait for the next one. Unit: seconds.
WAIT_SECONDS = 5.0

# A cut can be overtaken by a commit that lands while it is on its way. Unit: attempts.
MAX_LOADS = 10

# Between attempts while the store is down: doubles from the first to the last. Unit: seconds.
FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 1.0


class Follower:
    """Keeps the publisher's fleet at the store's revision.

    Args:
        rebuild: makes a fleet of a whole state, for when changes were missed.
        on_restored: told of each time that the store had lost writes.
    """

    def __init__(
        self,
        store: DrainStore,
        publisher: Publisher,
        *,
        rebuild: Callable[[FleetState], Fleet],
        health: StoreHealth,
        on_restored: Callable[[Restoration], None],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._rebuild = rebuild
        self._health = health
        self._on_restored = on_restored
        self._clock = clock
        self._restoring = asyncio.Lock()

    async def run(self) -> None:
        """Follow the store until cancelled; an outage is waited out."""
        retry_seconds = FIRST_RETRY_SECONDS
        wait_seconds = 0.0  # the first answer tells that the store is there; it must not wait for a change
        while True:
            try:
                await self._take_changes(wait_seconds=wait_seconds)
                retry_seconds, wait_seconds = FIRST_RETRY_SECONDS, WAIT_SECONDS
            except StoreUnavailable as error:
                wait_seconds = 0.0
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
        """Publish what follows the fleet's revision; say whether there was anything, and may be more."""
        revision, mark = self._publisher.fleet.revision, self._publisher.fleet.mark
        records: Sequence[ChangeRecord] = ()
        try:
            records = await self._store.changes(after=revision, mark=mark, wait_seconds=wait_seconds)
        except StoreDiverged:
            await self._restore(revision, mark)
        except ChangesTrimmed:
            await self._reload(revision, mark)
        else:
            present = self._publisher.fleet
            # Where it has moved meanwhile, they may be of a history that it has left: what follows is read anew. That
            # holds nothing up: whoever moved it has published something, and what others write stops our own writes.
            if (present.revision, present.mark) == (revision, mark):
                self._publisher.apply(records)
        self._health.was_read()
        return bool(records)

    async def _reload(self, revision: int, mark: str) -> None:
        """Publish a cut of the store that is not older than what is published."""
        for _ in range(MAX_LOADS):
            state = await self._store.load()
            if state.revision >= self._publisher.fleet.revision:
                # No await from here on: what is published must not become newer than the cut.
                self._publisher.replace(self._rebuild(state))
                log.warning(
                    "changes after revision %d are gone: loaded everything anew at %d", revision, state.revision
                )
                return
        await self._restore(revision, mark)

    def _joined(self, found: FleetState) -> Fleet:
        """Publish what is known and what the store has together, where that is more; return what is published."""
        known = self._publisher.fleet.state
        both = union(known, found, now=to_milliseconds(self._clock()))
        if both.drains != known.drains or both.nodes != known.nodes:
            self._publisher.replace(self._rebuild(both))
        return self._publisher.fleet

    async def _restore(self, revision: int, mark: str) -> None:
        """Bring a store that has lost writes, and the fleet, to what the two of them know.

        Args:
            revision, mark: at which the fleet was when that was noticed.
        """
        async with self._restoring:
            fleet = self._publisher.fleet
            while (fleet.revision, fleet.mark) == (revision, mark):
                # Served first: the store may take no writes for long, and what it has holds all the same.
                fleet = self._joined(await self._store.load())
                if (fleet.revision, fleet.mark) != (revision, mark):
                    return
                restoration = await restore(self._store, fleet.state, now=to_milliseconds(self._clock()))
                fleet = self._publisher.fleet  # perhaps another one of the same state, after a reload
                if (fleet.revision, fleet.mark) == (revision, mark):
                    self._publisher.replace(self._rebuild(restoration.state))
                    self._on_restored(restoration)
                    return
                # Another change was acknowledged meanwhile, before the loss: it must not be lost either.
                revision, mark = fleet.revision, fleet.mark
