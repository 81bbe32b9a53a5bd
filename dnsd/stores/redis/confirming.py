"""Waiting until replicas have what was written, so that it survives the loss of the primary.

It owns `min_replicas`. Waits are shared: replicas acknowledge everything up to a place, so that one wait answers for
all who asked before it began, and nobody stands behind more than the one that is on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from dnsd.errors import NotReplicated, StoreUnavailable
from dnsd.stores.redis import layout, scripts
from dnsd.stores.redis.connecting import ANSWER_SECONDS, Lane
from dnsd.stores.redis.link import Link

# How long replicas have to take a commit. Unit: seconds.
REPLICA_SECONDS = 1.0

# A revision and its mark; an empty mark: it is known by its number alone.
Place = tuple[int, str]


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
        self._turn = asyncio.Lock()
        self._asked: dict[Place, None] = {}
        self._next: asyncio.Task[_Round] | None = None  # the wait that has not begun

    async def confirm(self, revision: int, mark: str) -> None:
        """Wait until enough replicas have a revision, and with it all before it.

        Raises:
            NotReplicated: too few had it in time.
            StoreUnavailable: the server cannot be asked, or it is another one by now, and does not have it.
        """
        if not self._min_replicas:
            self._link.check_up()
            return
        place = revision, mark
        self._asked[place] = None
        if self._next is None:
            self._next = asyncio.create_task(self._take_turn())
        # A caller that is cancelled must not end the wait of the others.
        found = await asyncio.shield(self._next)
        if place not in found.kept:
            raise StoreUnavailable(f"{self._label}: it has lost revision {revision}: try again")
        if found.replicas < self._min_replicas:
            raise NotReplicated(
                f"{self._label}: it is written, but {found.replicas} of {self._min_replicas} replicas have it after"
                f" {REPLICA_SECONDS:.0f} s: it would be lost with the primary"
            )

    async def _take_turn(self) -> _Round:
        async with self._turn:
            asked, self._asked = list(self._asked), {}
            self._next = None  # who comes from now on may have written after this one began
            return await self._link.run(
                lambda client: self._wait(client, asked),
                seconds=ANSWER_SECONDS + REPLICA_SECONDS,
                lane=Lane.CONFIRMING,
            )

    async def _wait(self, client: Redis, asked: Sequence[Place]) -> _Round:
        changes = self._keys.changes
        # Replicas acknowledge the last write of this connection, and with it all that came before from anywhere.
        _, present, *found = await scripts.together(
            client,
            ("SET", self._keys.confirmed, "1"),
            ("GET", self._keys.revision),
            *(("XRANGE", changes, f"{revision}-0", f"{revision}-0") for revision, _ in asked),
        )
        replicas = int(await client.wait(self._min_replicas, int(REPLICA_SECONDS * 1000)))
        kept = (place for place, entries in zip(asked, found, strict=True) if _has(entries, place, int(present or 0)))
        return _Round(replicas, frozenset(kept))


def _has(entries: Sequence[layout.Entry], place: Place, present: int) -> bool:
    """Say whether a server has a revision.

    Args:
        entries: of the change stream, at that place: one or none.
        present: the revision that the server is at.
    """
    revision, mark = place
    if entries:
        return not mark or layout.fields_of(entries[0]).get("mark", "") in ("", mark)
    return not mark and revision <= present
