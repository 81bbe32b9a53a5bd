"""Who applies drain state, how far each has come, and waiting until all live ones have."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from dnsd.api.schemas import AppliedBy, ConsumerInfo, PendingAt
from dnsd.control.lagging import Lagging, lagging_of
from dnsd.control.others import Others
from dnsd.control.publisher import Publisher
from dnsd.control.storehealth import StoreHealth
from dnsd.errors import StoreUnavailable
from dnsd.model.state import Consumer
from dnsd.model.times import to_milliseconds
from dnsd.stores.base import DrainStore

log = logging.getLogger(__name__)

# How often this server says in the store that it lives and what it has applied. Unit: seconds.
HEARTBEAT_SECONDS = 2.0

# The same while the store is away, so that it is noticed soon that it takes writes again. Unit: seconds.
RETRY_SECONDS = 0.25

# The longest wait for word of other consumers, while somebody waits until all have applied something; a store that can
# tell of it wakes them at once. Unit: seconds.
LOOK_SECONDS = 0.5

# Heartbeats of our own that are told from those of another server with our id. Unit: heartbeats.
HEARTBEATS_REMEMBERED = 64

DNS_KIND = "dns"

# Who stands for all others where the store could not say who is there.
UNKNOWN = PendingAt(consumer="others", kind="unknown", applied_revision=0)


class Consumers:
    """The consumers of a fleet: this server, and the others that write their progress to the store."""

    def __init__(
        self,
        server_id: str,
        store: DrainStore,
        publisher: Publisher,
        *,
        health: StoreHealth,
        clock: Callable[[], float],
        steady: Callable[[], float],
    ) -> None:
        self._id = server_id
        self._store = store
        self._publisher = publisher
        self._health = health
        self._clock = clock
        self._steady = steady
        self._others = Others(health=health, clock=clock, steady=steady)
        self._read: tuple[Consumer, ...] = ()
        self._hearing: asyncio.Task[None] | None = None  # what all who wait share
        self._written: deque[float] = deque(maxlen=HEARTBEATS_REMEMBERED)
        self._told_of_namesake = False
        self._told: int | None = None  # the revision that the store has our word for

    @property
    def known(self) -> bool:
        """Say whether what the others say has been read at least once."""
        return self._others.known

    async def run(self) -> None:
        """Send heartbeats and read the others' until cancelled; what has been applied is told at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat_on())
            group.create_task(self._tell_progress())

    async def _beat_on(self) -> None:
        while True:
            self._others.hears()
            await self.beat()
            await asyncio.sleep(HEARTBEAT_SECONDS if self._health.up else RETRY_SECONDS)

    async def _tell_progress(self) -> None:
        tried: int | None = None
        while True:
            applied = self._publisher.applied_revision
            if applied in (tried, self._told):
                await self._publisher.progressed()
                continue
            tried = applied
            await self._say()

    async def leave(self) -> None:
        """Say that this server has ended, so that no other waits for it; without a word of its own, take none back."""
        if self._hearing is not None:
            self._hearing.cancel()
        if not self._written:
            return
        try:
            await self._store.forget_consumer(self._id)
        except StoreUnavailable as error:
            log.debug("no goodbye: %s", error)  # the others notice the silence

    async def beat(self) -> None:
        """Read how far the others are, and say in the store how far this server is."""
        # Read first: after the write, the store has our own word even where somebody else uses our id.
        await self._read_others()
        await self._say()
        await self._forget_gone()

    def store_diverged(self) -> None:
        """Take note that the store had lost writes, and with them perhaps that others are there."""
        self._others.store_diverged()

    async def _forget_gone(self) -> None:
        """Remove from the store who is taken as gone, so that routers that come and go do not fill it."""
        for each in self._others.gone():
            try:
                await self._store.forget_consumer(each.id)
            except StoreUnavailable as error:
                self._health.failed_to_write(error)
                return
            log.info("%s (%s) has been silent for a day and is forgotten", each.id, each.kind)

    async def look(self) -> bool:
        """Read how far the others are, and say whether that worked; while the store is away, what was read stands."""
        return await self._read_others()

    def other(self, key: str) -> Consumer | None:
        """Return another consumer by its id, as it was last read; None: there was none."""
        return self._others.by_id.get(key)

    def count(self, kind: str) -> int:
        """Return how many others of a kind there are, the silent ones included, as they were last read."""
        return sum(each.kind == kind for each in self._others.all)

    def left(self, key: str) -> None:
        """Take note that another consumer has been taken out of the store because it has ended in order."""
        self._others.left(key)

    async def _say(self) -> None:
        own = self._own()
        self._written.append(to_milliseconds(own.seen_at))
        try:
            known = await self._store.heartbeat(own)
        except StoreUnavailable as error:
            self._health.failed_to_write(error)
            return
        self._health.was_written()
        if not known and self._told is not None:
            self._others.store_diverged()  # we had said something, and it is gone: so is what others had said
        self._told = own.applied

    def infos(self) -> list[ConsumerInfo]:
        """Return every consumer, the silent ones included."""
        newest = self._publisher.fleet.revision
        return [
            ConsumerInfo(
                kind=consumer.kind,
                id=consumer.id,
                applied_revision=consumer.applied,
                lag_ms=self._lag_ms(consumer, consumer.applied),
                behind=consumer.applied < newest,
                last_seen=consumer.seen_at,
                live=live,
            )
            for consumer, live in self._all()
        ]

    def lagging(self) -> Lagging:
        """Return how far they are, as they were last read, and at that time while the store is away."""
        now = self._clock() if self._health.readable else self._health.seen_at
        return lagging_of(self.infos(), missed_since=self._publisher.missed_since, now=now)

    def progress(self, revision: int) -> tuple[list[AppliedBy], list[PendingAt]]:
        """Return which live consumers have applied a revision, and which have not."""
        live = [consumer for consumer, live in self._all() if live]
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

    def silent(self, revision: int) -> list[tuple[Consumer, float]]:
        """Return the consumers that went silent before they applied a revision, each with its seconds of silence."""
        return self._others.silent(revision)

    def seconds_since_others_applied(self, revision: int) -> float:
        """Return for how long all other DNS servers are known to have applied a revision; infinite without any."""
        return self._others.seconds_since_all_applied(revision, kind=DNS_KIND)

    async def acknowledged(self, revision: int, *, wait_seconds: float) -> tuple[list[AppliedBy], list[PendingAt]]:
        """Return which live consumers have applied a revision, and which have not, after waiting for all of them.

        Where the store could not say who is there, nobody says that all have: somebody unknown is pending.
        """
        if wait_seconds > 0:
            asked = await self._wait_applied(revision, timeout_seconds=wait_seconds)
        else:
            asked = self.known or await self._read_others()
        applied, pending = self.progress(revision)
        return applied, pending if pending or asked else [UNKNOWN]

    async def _wait_applied(self, revision: int, *, timeout_seconds: float) -> bool:
        """Wait until every live consumer has applied a revision, or the time is over; say whether they were asked."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        if not await self._publisher.wait_applied(revision, timeout_seconds=timeout_seconds):
            return False
        # At least once, in this order: a server that came up since the last look may have loaded what was before the
        # revision, and only our own word tells whether the store still has what the others had said.
        if self._told is None or self._told < revision:
            await self._say()
        asked = await self._read_others()
        while (not asked or self._others.lag(revision)) and (left := deadline - loop.time()) > 0:
            if asked:
                await self._hear(seconds=left)
            else:
                await asyncio.sleep(min(left, LOOK_SECONDS))
                asked = await self._read_others()
        return asked

    async def _hear(self, *, seconds: float) -> None:
        """Wait until another consumer says more, or for a while; those who wait at the same time share one question."""
        if self._hearing is None or self._hearing.done():
            self._hearing = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait((self._hearing,), timeout=seconds)
        for task in done:
            task.result()

    async def _ask(self) -> None:
        if not await self._read_others(wait_seconds=LOOK_SECONDS):
            await asyncio.sleep(LOOK_SECONDS)

    async def _read_others(self, *, wait_seconds: float = 0.0) -> bool:
        """Read what the others say, or wait until one of them says more; say whether that worked."""
        unlike = self._read if wait_seconds else None
        try:
            read = await self._store.consumers(unlike=unlike, wait_seconds=wait_seconds)
        except StoreUnavailable as error:
            self._health.failed_to_read(error)
            return False
        self._read = read
        self._others.take([each for each in read if each.id != self._id or self._is_namesake(each)])
        return True

    def _is_namesake(self, consumer: Consumer) -> bool:
        """Say whether somebody else wrote what the store has under our id: a second server that was given the same."""
        seen_at = to_milliseconds(consumer.seen_at)
        if not self._written or seen_at <= self._written[0] or seen_at in self._written:
            return False
        if not self._told_of_namesake:
            self._told_of_namesake = True
            log.error("another server uses the id %s: give each its own (server.id), or they hide each other", self._id)
        return True

    def _all(self) -> list[tuple[Consumer, bool]]:
        """Return every consumer, and whether it is live."""
        return [(self._own(), True), *((each, self._others.is_live(each)) for each in self._others.all)]

    def _own(self) -> Consumer:
        return Consumer(
            id=self._id,
            kind=DNS_KIND,
            applied=self._publisher.applied_revision,
            applied_at=self._publisher.applied_at,
            seen_at=self._clock(),
            mark=self._publisher.applied_mark,
        )

    def _lag_ms(self, consumer: Consumer, revision: int) -> float | None:
        """Return the milliseconds from the acceptance of a revision until a consumer had applied it, as known here."""
        if consumer.id == self._id:
            lag = self._publisher.lag_of(revision)
            return None if lag is None else round(lag * 1000, 3)
        accepted_at = self._publisher.accepted_at(revision)
        heard = self._others.applied_since(consumer, revision)
        if accepted_at is None or heard is None:
            return None
        heard_at = self._clock() - (self._steady() - heard)
        return round(max(0.0, heard_at - accepted_at) * 1000, 3)
