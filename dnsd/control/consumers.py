"""Who applies drain state, how far each has come, and waiting until all live ones have."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from dnsd.api.schemas import AppliedBy, ConsumerInfo, PendingAt
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

# A consumer that was silent for longer is not waited for; it is listed as not live. Unit: seconds.
LIVE_SECONDS = 10.0

# A consumer that was silent for longer is taken as gone. Until then it may have lost its way to the store alone, and
# still serve what it knew last. Unit: seconds.
FORGOTTEN_SECONDS = 86_400.0

# The longest wait for word of other consumers, while somebody waits until all have applied something; a store that can
# tell of it wakes them at once. Unit: seconds.
LOOK_SECONDS = 0.5

# One that is taken as gone is removed from the store, once this server itself has seen it say nothing for so long:
# whose clock is wrong is not known. Unit: seconds.
WATCHED_SECONDS = 3_600.0

# Heartbeats of our own that are told from those of another server with our id. Unit: heartbeats.
HEARTBEATS_REMEMBERED = 64

# Steps of another server's applied revision whose time is remembered: half an hour's of heartbeats. Unit: steps.
STEPS_REMEMBERED = 1000

DNS_KIND = "dns"


async def announce(server_id: str, store: DrainStore, *, now: float) -> None:
    """Say in the store that a server comes up, before it loads what it will serve.

    Who acknowledges a drain from now on waits for this server, so that it either loads the drain or is waited for.

    Raises:
        StoreUnavailable: nobody was told.
    """
    await store.heartbeat(Consumer(id=server_id, kind=DNS_KIND, applied=0, applied_at=now, seen_at=now))


class Consumers:
    """The consumers of a fleet: this server, and the others that write their progress to the store.

    Attributes:
        known: what the others say has been read at least once.
    """

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
        self.known = False
        self._id = server_id
        self._store = store
        self._publisher = publisher
        self._health = health
        self._clock = clock
        self._steady = steady
        self._read: tuple[Consumer, ...] = ()
        self._others: tuple[Consumer, ...] = ()
        self._silent_since: dict[str, float] = {}  # on the steady clock, as are those that follow
        self._same_since: dict[str, float] = {}
        self._vanished: dict[str, tuple[Consumer, float]] = {}  # lately, and when on the steady clock
        self._lost: dict[str, Consumer] = {}
        self._loss_noted = False
        self._applied: dict[str, deque[tuple[int, float]]] = {}
        self._written: deque[float] = deque(maxlen=HEARTBEATS_REMEMBERED)
        self._told_of_namesake = False
        self._told: int | None = None  # the revision that the store has our word for

    async def run(self) -> None:
        """Send heartbeats and read the others' until cancelled; what has been applied is told at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat_on())
            group.create_task(self._tell_progress())

    async def _beat_on(self) -> None:
        while True:
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
        """Say that this server has ended, so that no other waits for it."""
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
        """Take note that the store had lost writes, and with them perhaps that others are there.

        Who vanished with them counts as one that has applied nothing since: it is waited for while it would be live,
        and stands against stopping a node, until it says that it lives or would have been taken as gone.
        """
        self._loss_noted = True

    async def _forget_gone(self) -> None:
        """Remove from the store who is taken as gone, so that routers that come and go do not fill it."""
        now = self._steady()
        for each in self._others:
            watched = now - self._same_since.get(each.id, now) >= WATCHED_SECONDS
            if watched and self._silent_seconds(each) >= FORGOTTEN_SECONDS:
                try:
                    await self._store.forget_consumer(each.id)
                except StoreUnavailable as error:
                    self._health.failed_to_write(error)
                    return
                log.info("%s (%s) has been silent for a day and is forgotten", each.id, each.kind)

    async def look(self) -> None:
        """Read how far the others are; while the store is away, what was read last stands."""
        await self._read_others()

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
            self.store_diverged()  # we had said something, and it is gone: so is what others had said
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
                live=self._silent_seconds(consumer) < LIVE_SECONDS,
            )
            for consumer in self._all()
        ]

    def progress(self, revision: int) -> tuple[list[AppliedBy], list[PendingAt]]:
        """Return which live consumers have applied a revision, and which have not."""
        live = [consumer for consumer in self._all() if self._silent_seconds(consumer) < LIVE_SECONDS]
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
        found = [(each, self._silent_seconds(each)) for each in self._others if each.applied < revision]
        return [(each, seconds) for each, seconds in found if LIVE_SECONDS <= seconds < FORGOTTEN_SECONDS]

    def seconds_since_others_applied(self, revision: int) -> float:
        """Return for how long all other DNS servers are known to have applied a revision; infinite without any."""
        now = self._steady()
        known = (
            next((now - seen for applied, seen in self._applied[each.id] if applied >= revision), 0.0)
            for each in self._others
            if each.kind == DNS_KIND and self._silent_seconds(each) < FORGOTTEN_SECONDS
        )
        return min(known, default=float("inf"))

    async def wait_applied(self, revision: int, *, timeout_seconds: float) -> None:
        """Wait until every live consumer has applied a revision, or the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        if not await self._publisher.wait_applied(revision, timeout_seconds=timeout_seconds):
            return
        # At least once, in this order: a server that came up since the last look may have loaded what was before the
        # revision, and only our own word tells whether the store still has what the others had said.
        if self._told is None or self._told < revision:
            await self._say()
        await self._read_others()
        while self.progress(revision)[1] and (left := deadline - loop.time()) > 0:
            if not await self._read_others(wait_seconds=min(left, LOOK_SECONDS)):
                await asyncio.sleep(min(left, LOOK_SECONDS))

    async def _read_others(self, *, wait_seconds: float = 0.0) -> bool:
        """Read what the others say, or wait until one of them says more; say whether that worked."""
        unlike = self._read if wait_seconds else None
        try:
            self._read = await self._store.consumers(unlike=unlike, wait_seconds=wait_seconds)
        except StoreUnavailable as error:
            self._health.failed_to_read(error)
            return False
        self._take([each for each in self._read if each.id != self._id or self._is_namesake(each)])
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

    def _take(self, others: Sequence[Consumer]) -> None:
        before = {each.id: each.seen_at for each in self._others}
        now = self._steady()
        for each in others:
            if before.get(each.id) != each.seen_at:
                self._same_since[each.id] = now
                # By our own clock: theirs may be set differently. Only at first sight theirs is all there is.
                age = 0.0 if each.id in before else max(0.0, self._clock() - each.seen_at)
                self._silent_since[each.id] = now - age
            steps = self._applied.setdefault(each.id, deque(maxlen=STEPS_REMEMBERED))
            if steps and steps[-1][0] > each.applied:
                steps.clear()  # it began anew
            if not steps or steps[-1][0] != each.applied:
                steps.append((each.applied, now))
        self._note_losses({each.id for each in others})
        self._others = (*others, *self._lost.values())
        self.known = True
        self._forget_details()

    def _note_losses(self, there: set[str]) -> None:
        """Tell those who vanished with what the store has lost from those who left in order.

        Args:
            there: the ids that the store has.
        """
        now = self._steady()
        for each in self._others:
            if each.id not in there and each.id not in self._lost:
                self._vanished[each.id] = (each, now)
        self._vanished = {
            key: (each, since)
            for key, (each, since) in self._vanished.items()
            if key not in there and now - since < LIVE_SECONDS
        }
        if self._loss_noted:
            self._loss_noted = False
            self._lost.update({key: replace(each, applied=0) for key, (each, _) in self._vanished.items()})
        self._lost = {
            key: each
            for key, each in self._lost.items()
            if key not in there and self._silent_seconds(each) < FORGOTTEN_SECONDS
        }

    def _forget_details(self) -> None:
        """Drop what is remembered of consumers that are neither there nor have just vanished."""
        known = {each.id for each in self._others} | self._vanished.keys()
        for details in (self._silent_since, self._same_since, self._applied):
            for key in details.keys() - known:
                details.pop(key)

    def _all(self) -> tuple[Consumer, ...]:
        return (self._own(), *self._others)

    def _own(self) -> Consumer:
        return Consumer(
            id=self._id,
            kind=DNS_KIND,
            applied=self._publisher.applied_revision,
            applied_at=self._publisher.applied_at,
            seen_at=self._clock(),
            mark=self._publisher.applied_mark,
        )

    def _silent_seconds(self, consumer: Consumer) -> float:
        """Return for how long a consumer has said nothing while it could; while the store is away, nobody can.

        Whoever was there has its time again when the store is back: it was silenced by the outage.
        """
        if consumer.id == self._id and consumer not in self._others:
            return 0.0
        now = self._steady() if self._health.up else self._health.down_since
        return max(0.0, now - max(self._silent_since.get(consumer.id, now), self._health.back_at))

    def _lag_ms(self, consumer: Consumer, revision: int) -> float | None:
        """Return the milliseconds from the acceptance of a revision until a consumer had applied it, as known here."""
        if consumer.id == self._id:
            lag = self._publisher.lag_of(revision)
            return None if lag is None else round(lag * 1000, 3)
        accepted_at = self._publisher.accepted_at(revision)
        heard = next((steady for applied, steady in self._applied.get(consumer.id, ()) if applied >= revision), None)
        if accepted_at is None or heard is None:
            return None
        heard_at = self._clock() - (self._steady() - heard)
        return round(max(0.0, heard_at - accepted_at) * 1000, 3)
