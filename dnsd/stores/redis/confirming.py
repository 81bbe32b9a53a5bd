"""Waiting until replicas have what was written, so that it survives the loss of the primary.

It owns `min_replicas`. Waits are shared: replicas acknowledge everything up to a place, so that one wait answers for
all who asked before it began, and nobody stands behind more than the one that is on its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from dnsd.errors import NotReplicated, RevisionLost
from dnsd.stores.following import SharedRead
from dnsd.stores.redis import layout
from dnsd.stores.redis.connecting import ANSWER_SECONDS, Lane
from dnsd.stores.redis.link import Link

# How long replicas have to take a commit. Unit: seconds.
REPLICA_SECONDS = 1.0

# A revision and its mark; an empty mark: it is known by its number alone.
Place = tuple[int, str]

# As the client library gives them: an id and the fields.
Entry = tuple[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class _Round:
    """What one wait has found.

    Args:
        replicas: how many have all that was there.
        kept: which of the places that were asked about the server has.
    """

    replicas: int
    kept: frozenset[Place]


class Confirmer:
    """Has replicas confirm what was written.

    Args:
        min_replicas: how many must have it; 0: none, and nobody is asked.
    """

    def __init__(self, link: Link, keys: layout.Keys, *, label: str, min_replicas: int) -> None:
        self._link = link
        self._keys = keys
        self._label = label
        self._min_replicas = min_replicas
        self._asked: dict[Place, None] = {}  # by those whose wait has not begun
        self._waits = SharedRead(self._wait_for_asked, rest_seconds=lambda _: 0.0)

    async def confirm(self, revision: int, mark: str) -> None:
        """Wait until enough replicas have a revision, and with it all before it.

        Raises:
            NotReplicated: too few had it in time.
            RevisionLost: the server does not have it, being another one by now.
            StoreUnavailable: it cannot be asked.
        """
        if not self._min_replicas:
            self._link.check_up()
            return
        place = revision, mark
        self._asked[place] = None
        found = await self._waits.read()
        if place not in found.kept:
            raise RevisionLost(f"{self._label}: it has lost revision {revision}: try again")
        if found.replicas < self._min_replicas:
            raise NotReplicated(
                f"{self._label}: it is written, but {found.replicas} of {self._min_replicas} replicas have it after"
                f" {REPLICA_SECONDS:.0f} s: it would be lost with the primary"
            )

    async def _wait_for_asked(self) -> _Round:
        # Who comes from now on may have written after this wait began, and has the next one.
        asked, self._asked = list(self._asked), {}
        return await self._link.run(
            lambda client: self._wait(client, asked), seconds=ANSWER_SECONDS + REPLICA_SECONDS, lane=Lane.CONFIRMING
        )

    async def _wait(self, client: Redis, asked: Sequence[Place]) -> _Round:
        changes = self._keys.changes
        # In one packet: a connection that is made anew, perhaps to another server, has nothing to wait for.
        pipeline = client.pipeline(transaction=False)
        for revision, _ in asked:
            pipeline.xrange(changes, f"{revision}-0", f"{revision}-0")
        pipeline.get(self._keys.revision)
        pipeline.xrange(changes, count=1)
        pipeline.xrevrange(self._keys.restorations)
        # Replicas acknowledge the last write of this connection, and with it all that came before from anywhere.
        pipeline.set(self._keys.confirmed, "1")
        pipeline.wait(self._min_replicas, int(REPLICA_SECONDS * 1000))
        *found, present, first, restorations, _, replicas = await pipeline.execute()
        log = _Log(int(present or 0), first, restorations)
        kept = (place for place, entries in zip(asked, found, strict=True) if log.has(place, entries))
        return _Round(int(replicas), frozenset(kept))


@dataclass(frozen=True, slots=True)
class _Log:
    """What a server's change stream says of revisions that it may not hold any more.

    Args:
        present: the revision that the server is at.
        first: its first entry, or none.
    """

    present: int
    first: Sequence[Entry]
    restorations: Sequence[Entry]

    def has(self, place: Place, entries: Sequence[Entry]) -> bool:
        """Say whether the server has a revision.

        Args:
            entries: of the stream, at that place: one or none.
        """
        revision, mark = place
        if entries:
            return entries[0][1].get("mark", "") in ("", mark) or not mark
        floor = int(self.first[0][0].partition("-")[0]) - 1 if self.first else self.present
        if revision > self.present or (mark and revision > floor):
            return False
        return not (mark and layout.has_replaced((fields for _, fields in self.restorations), revision, mark))
