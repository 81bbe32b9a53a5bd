"""Keeps the last known state of a remote store on the local disk, so that a restart during an outage finds it there.

kept ──a drain, node or report changes──► due ──written (never more than a tenth of the time)──► kept
                                           └──disk fails──► due (logged once, tried again)
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from dnsd.config.settings import Settings
from dnsd.control.publisher import Publisher
from dnsd.control.serialclaims import SerialClaims
from dnsd.control.storehealth import StoreHealth
from dnsd.stores import laststate
from dnsd.stores.base import DrainStore
from dnsd.stores.laststate import LastState

log = logging.getLogger(__name__)

# How soon a change of drains or nodes is kept. Unit: seconds.
LOOK_SECONDS = 0.1

# How often it is kept where nothing changed but reports, or nothing at all. Unit: seconds.
REPORTS_SECONDS = 5.0

# Writing takes a part of the time of 1 to so many. Unit: none.
SHARE = 10


class StateKeeper:
    """Writes what is published of a store into a file.

    Args:
        path: of the file.
        store: which store it is: its label and prefix.
        claims: the serials of zones that are kept with it; None: there are no transfers.

    Attributes:
        problem: why it could not be kept the last time; None: it was.
    """

    def __init__(
        self,
        path: Path,
        *,
        store: str,
        publisher: Publisher,
        health: StoreHealth,
        claims: SerialClaims | None = None,
    ) -> None:
        self.problem: str | None = None
        self._path = path
        self._store = store
        self._publisher = publisher
        self._health = health
        self._claims = claims
        self._kept: tuple[int, str, int] | None = None
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Keep the state up to date until cancelled."""
        loop = asyncio.get_running_loop()
        written_at = float("-inf")
        while True:
            changed = self._sign() != self._kept
            took = 0.0
            if changed or loop.time() - written_at >= REPORTS_SECONDS:
                began = time.monotonic()
                await self.keep()
                written_at, took = loop.time(), time.monotonic() - began
            await asyncio.sleep(max(LOOK_SECONDS, SHARE * took))

    def _sign(self) -> tuple[int, str, int]:
        """Return what is another one where something has changed that the store could not tell after a restart."""
        fleet = self._publisher.fleet
        return fleet.revision, fleet.mark, 0 if self._claims is None else self._claims.made_alone

    async def keep(self) -> None:
        """Write the state as it is now; a disk that fails is told of once."""
        async with self._turn:
            sign = self._sign()
            state = self._publisher.fleet.state
            serials = {} if self._claims is None else self._claims.handed
            last = LastState(store=self._store, heard_at=self._health.seen_at, state=state, serials=serials)
            try:
                # A thread: the disk may be slow, and the state of a large fleet takes a while to be written down.
                await asyncio.to_thread(laststate.write, self._path, last)
            except (OSError, ValueError) as error:  # ValueError: another program left text that is no UTF-8
                why = (error.strerror if isinstance(error, OSError) else None) or error
                if self.problem is None:
                    log.error("the last state cannot be kept in %s: %s", self._path, why)
                self.problem = f"the last state cannot be kept: {why}"
                return
            if self.problem is not None:
                log.info("the last state is kept again in %s", self._path)
            self.problem = None
            self._kept = sign


def keeper_of(
    settings: Settings,
    store: DrainStore,
    name: str,
    *,
    publisher: Publisher,
    health: StoreHealth,
    claims: SerialClaims | None,
) -> StateKeeper | None:
    """Return what keeps a store's state, or None where that is not asked for: a local one is on the disk itself.

    Args:
        name, claims: `store` and `claims` of `StateKeeper`.
    """
    if not store.remote or settings.state_file is None:
        return None
    return StateKeeper(settings.state_file, store=name, publisher=publisher, health=health, claims=claims)
