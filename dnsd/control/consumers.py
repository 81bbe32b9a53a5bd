"""Who applies drain state, how far each has come, and waiting until all live ones have."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from dnsd.api.schemas import AppliedBy, ConsumerInfo, PendingAt
from dnsd.control.publisher import Publisher
from dnsd.errors import StoreUnavailable
from dnsd.model.state import Consumer
from dnsd.stores.base import DrainStore

log = logging.getLogger(__name__)

# How often this server says in the store that it lives and what it has applied. Unit: seconds.
HEARTBEAT_SECONDS = 2.0

# A consumer that was silent for longer is not waited for; it is listed as not live. Unit: seconds.
LIVE_SECONDS = 10.0

# Between looks at what other consumers have applied, while somebody waits for them. Unit: seconds.
POLL_SECONDS = 0.05

DNS_KIND = "dns"


class Consumers:
    """The consumers of a fleet: this server, and the others that write their progress to the store."""

    def __init__(self, server_id: str, store: DrainStore, publisher: Publisher, *, clock: Callable[[], float]) -> None:
        self._id = server_id
        self._store = store
        self._publisher = publisher
        self._clock = clock
        self._others: tuple[Consumer, ...] = ()

    async def run(self) -> None:
        """Send heartbeats and read the others' until cancelled."""
        while True:
            try:
                await self._store.heartbeat(self._own())
                await self._read_others()
            except StoreUnavailable as error:
                log.debug("no heartbeat: %s", error)  # the follower reports the outage
            await asyncio.sleep(HEARTBEAT_SECONDS)

    def infos(self) -> list[ConsumerInfo]:
        """Return every consumer, the silent ones included."""
        newest = self._publisher.fleet.revision
        now = self._clock()
        return [
            ConsumerInfo(
                kind=consumer.kind,
                id=consumer.id,
                applied_revision=consumer.applied,
                lag_ms=self._lag_ms(consumer, consumer.applied),
                behind=consumer.applied < newest,
                last_seen=consumer.seen_at,
                live=self._live(consumer, now),
            )
            for consumer in self._all()
        ]

    def progress(self, revision: int) -> tuple[list[AppliedBy], list[PendingAt]]:
        """Return which live consumers have applied a revision, and which have not."""
        now = self._clock()
        live = [consumer for consumer in self._all() if self._live(consumer, now)]
        applied = [
            AppliedBy(consumer=consumer.id, kind=consumer.kind, lag_ms=self._lag_ms(consumer, revision))
            for consumer in live
            if consumer.applied >= revision
        ]
        pending = [
            PendingAt(consumer=consumer.id, kind=consumer.kind, applied_revision=consumer.applied)
            for consumer in live
            if consumer.applied < revision
        ]
        return applied, pending

    async def wait_applied(self, revision: int, *, timeout_seconds: float) -> None:
        """Wait until every live consumer has applied a revision, or the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        if not await self._publisher.wait_applied(revision, timeout_seconds=timeout_seconds):
            return
        while self.progress(revision)[1] and loop.time() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            await self._read_others()

    async def _read_others(self) -> None:
        self._others = tuple(each for each in await self._store.consumers() if each.id != self._id)

    def _all(self) -> tuple[Consumer, ...]:
        return (self._own(), *self._others)

    def _own(self) -> Consumer:
        return Consumer(
            id=self._id,
            kind=DNS_KIND,
            applied=self._publisher.applied_revision,
            applied_at=self._publisher.applied_at,
            seen_at=self._clock(),
        )

    def _live(self, consumer: Consumer, now: float) -> bool:
        return now - consumer.seen_at < LIVE_SECONDS

    def _lag_ms(self, consumer: Consumer, revision: int) -> float | None:
        if consumer.id != self._id:
            return None
        lag = self._publisher.lag_of(revision)
        return None if lag is None else round(lag * 1000, 3)
