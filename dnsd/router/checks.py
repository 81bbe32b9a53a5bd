"""What servers find by their checks, as a router takes it from a store: who counts, and what the most of them say.

A server counts while it is heard: each sign of life that comes with its word gives it so many seconds. They are counted
between looks at the store that worked, and only while it takes words, by the router's own steady clock: an outage
silences nobody, and how anybody's clock is set does not matter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from dnsd.errors import StoreRefused, StoreUnavailable
from dnsd.model.check import CheckedBy, Results
from dnsd.model.report import Health
from dnsd.router.fleet_view import FleetView, differing
from dnsd.stores.base import DrainStore

log = logging.getLogger("dnsd.router")

# How often it is looked what servers say. Unit: seconds.
LOOK_SECONDS = 2.0

# A server that was silent for longer does not count, as with `--wait applied`. Unit: seconds.
LIVE_SECONDS = 10.0

# A word that was told so long before its server's last sign of life is none of that server's as it is now: it tells all
# anew every minute. An older dnsd in its place tells nothing, and takes nothing out. Unit: seconds.
OLD_SECONDS = 180.0

# A router whose looks are further apart was held up, and could hear nobody meanwhile. Unit: seconds.
MOST_SECONDS = 2 * LOOK_SECONDS

Verdicts = Mapping[str, Mapping[str, Health]]


@dataclass(slots=True)
class _Server:
    """What is known of a server.

    Args:
        heard_at: the time of listening at which its last sign of life came.
        counts: it does, as of the last look.
        is_fresh: it has told something since it counted last. Without that, a sign of life may be a new process's, and
            its word one from long ago.
    """

    results: Results
    seen_at: float | None
    heard_at: float
    counts: bool = False
    is_fresh: bool = True


class Quorum:
    """What the most of the servers that count say of each node and role."""

    def __init__(self) -> None:
        self._servers: dict[str, _Server] = {}
        self._verdicts: dict[str, Mapping[str, Health]] = {}
        self._listened = 0.0  # seconds in all

    def take(self, told: Mapping[str, CheckedBy], *, seconds: float) -> Verdicts:
        """Take what servers tell now, and return the nodes of which the most say something else, with what that is.

        Args:
            told: by server. One that is missing may have ended, or the store has lost its word: what it said last
                counts until it has been silent for too long.
            seconds: how long it was listened since the last time.
        """
        self._listened += seconds
        touched: set[str] = set()
        new: set[str] = set()  # servers that have told something since the last time
        newest = max((each.seen_at for each in told.values() if each.seen_at is not None), default=0.0)
        for name, each in told.items():
            server = self._servers.get(name)
            if server is None:
                # At first sight its instant is all there is; it is compared with servers', since our clock may differ.
                age = LIVE_SECONDS if each.seen_at is None or _is_old(each) else newest - each.seen_at
                self._servers[name] = _Server(each.results, each.seen_at, self._listened - age)
                continue
            if each.results is not server.results:
                if server.counts:
                    touched |= differing(server.results, each.results)
                server.results, server.is_fresh = each.results, True
                new.add(name)
            if each.seen_at is not None and each.seen_at != server.seen_at:
                server.seen_at = each.seen_at
                if (server.counts or server.is_fresh) and not _is_old(each):
                    server.heard_at = self._listened
        touched |= self._count(told, new)
        found = {node: self._verdict(node) for node in touched}
        changed = {node: verdict for node, verdict in found.items() if verdict != self._verdicts.get(node, {})}
        for node, verdict in changed.items():
            self._verdicts.pop(node, None)
            if verdict:
                self._verdicts[node] = verdict
        return changed

    def _count(self, told: Mapping[str, CheckedBy], new: Collection[str]) -> set[str]:
        """Bring up to date who counts, and return the nodes that this may concern."""
        touched: set[str] = set()
        for name, server in list(self._servers.items()):
            counts = self._listened - server.heard_at < LIVE_SECONDS
            if counts != server.counts:
                server.counts, server.is_fresh = counts, counts or name in new
                touched |= server.results.keys()
            if not counts and name not in told:
                del self._servers[name]
        return touched

    def _verdict(self, node: str) -> Mapping[str, Health]:
        """Return what a node is in each role of which somebody who counts knows it: a tie is up."""
        votes: dict[str, int] = {}  # for down, less those for up
        for server in self._servers.values():
            if server.counts:
                for role, up in server.results.get(node, {}).items():
                    votes[role] = votes.get(role, 0) + (-1 if up else 1)
        return {role: Health.DOWN if count > 0 else Health.UP for role, count in votes.items()}


class ChecksReader:
    """Puts what servers find by checks into a view.

    Args:
        clock: gives the present instant.
        hears: says whether the store takes words: where not, no server can say that it lives.
        steady: gives seconds on a clock that nobody sets.
    """

    def __init__(
        self,
        store: DrainStore,
        view: FleetView,
        *,
        clock: Callable[[], float],
        hears: Callable[[], bool],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._view = view
        self._clock = clock
        self._hears = hears
        self._steady = steady
        self._quorum = Quorum()
        self._looked_at: float | None = None  # on the steady clock; None: the last look heard nobody
        self._why = ""

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Take what servers say now; where that cannot be read, what was read last stands."""
        try:
            told = await self._store.checked()
        except StoreUnavailable as error:
            self._looked_at = None
            if isinstance(error, StoreRefused) and str(error) != self._why:
                self._why = str(error)
                log.error("what servers find by checks cannot be read, and what was read last stands: %s", error)
            return
        now, hears = self._steady(), self._hears()
        seconds = min(now - self._looked_at, MOST_SECONDS) if hears and self._looked_at is not None else 0.0
        self._looked_at, self._why = now if hears else None, ""
        verdicts = self._quorum.take(told, seconds=seconds)
        if verdicts:
            self._view.take_checked(verdicts, now=self._clock())


def _is_old(told: CheckedBy) -> bool:
    """Say whether a word is too old for its server, which has given a sign of life since, to stand by it still."""
    return told.seen_at is not None and told.seen_at - told.told_at > OLD_SECONDS
