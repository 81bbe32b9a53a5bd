"""What the checks have found, told in the store for routers that follow it.

It owns what of it is told: the health of nodes as the fleet has it by checks, up or down. Nothing is read back: each
server finds out for itself, and the store decides for nobody what a check is worth.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from dnsd.config.settings import Settings
from dnsd.control.checks.checking import Checks
from dnsd.control.publisher import Publisher
from dnsd.control.storehealth import StoreHealth
from dnsd.errors import StoreRefused, StoreUnavailable
from dnsd.model.check import Results
from dnsd.model.report import Health
from dnsd.model.times import to_milliseconds
from dnsd.stores.base import DrainStore

log = logging.getLogger(__name__)

# What changes within this time is told together. Unit: seconds.
GATHER_SECONDS = 1.0

# So many times that, the store is asked whether it still has what it was told; it may have lost it. Unit: gatherings.
LOOK_EACH = 2

# A server that could not tell anything for longer may have been taken as dead, and tells all it knows anew: only then
# it counts again, since its last word might be from long ago. Less than the silence that is death. Unit: seconds.
SILENT_SECONDS = 5.0

# The same in any case: whatever a router has missed, it is for no longer. By the wall clock, also when that was set: a
# word that is by far older than its server's last sign of life does not count. Unit: seconds.
REFRESH_SECONDS = 60.0

_KNOWN = (Health.UP, Health.DOWN)


class ChecksTeller:
    """Has the store hold what a server's checks know.

    Args:
        settings: gives the present settings, which a reload replaces.
        clock: gives the present instant.
    """

    def __init__(
        self,
        store: DrainStore,
        checks: Checks,
        publisher: Publisher,
        *,
        settings: Callable[[], Settings],
        health: StoreHealth,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._checks = checks
        self._publisher = publisher
        self._settings = settings
        self._health = health
        self._clock = clock
        self._noted: set[str] = set()  # nodes that were told to the publisher since the last time
        self._results: Results = {}  # replaced and never changed
        self._has_begun = False
        self._is_doubtful = True  # routers may take the server as dead, or its word as old
        self._told_at = float("-inf")  # on the loop's clock
        self._new_at = float("-inf")  # an instant
        self._why = ""
        checks.on_told = self._note

    def _note(self, nodes: Collection[str]) -> None:
        self._noted.update(nodes)

    async def run(self) -> None:
        """Tell until cancelled."""
        loop = asyncio.get_running_loop()
        gatherings = 0
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            gatherings += 1
            # Until the first round is over, what a server of this id has left is taken out, and nothing is told.
            self._has_begun = self._has_begun or self._checks.is_settled
            has_changed = self._has_begun and self._has_changed()
            is_old = not 0.0 <= self._clock() - self._new_at <= REFRESH_SECONDS
            if is_old or not self._health.up or loop.time() - self._told_at > SILENT_SECONDS:
                self._is_doubtful = True
            if has_changed or self._is_doubtful or gatherings % LOOK_EACH == 0:
                await self.tell()

    async def tell(self) -> None:
        """Have the store hold what is known, where it does not."""
        now, at = asyncio.get_running_loop().time(), self._clock()
        if self._is_doubtful:
            self._results = dict(self._results)  # another object is written again
            self._new_at = at
        self._is_doubtful = True
        try:
            await self._store.tell_checked(self._results, server=self._settings().server_id, at=to_milliseconds(at))
        except StoreUnavailable as error:  # an outage is found out, and told, by those whose words matter more
            if isinstance(error, StoreRefused) and str(error) != self._why:
                self._why = str(error)
                log.error("routers are not told what checks find: %s", error)
            return
        self._is_doubtful, self._why, self._told_at = False, "", now

    async def leave(self) -> None:
        """Tell nothing any more, where something was told."""
        if self._results:
            self._results = {}
            await self.tell()

    def _has_changed(self) -> bool:
        """Take what has come in; say whether there is something else to tell."""
        noted, self._noted = self._noted, set()
        changed: dict[str, dict[str, bool]] = {}
        for node in noted:
            found = self._publisher.fleet.checks_of(node)
            known = {role: each.health is Health.UP for role, each in found.items() if each.health in _KNOWN}
            if known != self._results.get(node, {}):
                changed[node] = known
        if changed:
            merged = {**self._results, **changed}
            self._results = merged if all(changed.values()) else {key: each for key, each in merged.items() if each}
        return bool(changed)
