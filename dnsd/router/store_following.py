"""A view of the fleet kept by a shared store, and the store told how far the view has come.

starting ─ announced ─► loading ──► following ──changes trimmed──► loading
   │                                  ├─ store out of reach ─► holding (the last known drains stay) ─► following
   │                                  └─ store has lost writes ─► both histories ─ 10 s, servers agree ─► following
   └─ store out of reach, last state on the disk ─► holding

Drains are obeyed before they are acknowledged. It knows no HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dnsd.errors import ChangesTrimmed, StoreDiverged, StoreRefused, StoreUnavailable
from dnsd.model.node import Node
from dnsd.model.state import Consumer, FleetState
from dnsd.router.checks import ChecksReader
from dnsd.router.fleet_view import FleetView
from dnsd.router.state_file import keep_state
from dnsd.router.union import Loss, servers_agree, servers_of, union
from dnsd.stores import laststate
from dnsd.stores.base import DrainStore

log = logging.getLogger("dnsd.router")

# How `dnsd consumers` and whoever waits for a drain calls it.
ROUTER_KIND = "router"

# How often the router says that it lives; one that is silent for 10 s is not waited for. Unit: seconds.
HEARTBEAT_SECONDS = 2.0

# The same after one that failed, and the pause between attempts to read. Unit: seconds.
RETRY_SECONDS = 0.25

# How long one question for changes or reports may wait. Unit: seconds.
WAIT_SECONDS = 5.0

# Configured nodes make no revision, so they are read again and again. Unit: seconds.
CONFIGURED_SECONDS = 2.0

# After a loss: between two looks, and how long both histories count at least (docs/redis.md). Unit: seconds.
AGAIN_SECONDS = 1.0
BOTH_SECONDS = 10.0


class StoreFollower:
    """Keeps a view by a store.

    Args:
        store: not opened yet; it is closed by whoever made it.
        id: the consumer's; two of one id hide each other.
        state_file: for the last known state, to start from while the store is out of reach; None: there is none.

    Attributes:
        up: the store was reached at the last attempt.
        heard_at: instant at which it was last read; None: never.
        acknowledged: the revision that the store has our word for.
    """

    def __init__(
        self,
        store: DrainStore,
        view: FleetView,
        *,
        id: str,  # noqa: A002 - as the store calls it
        state_file: Path | None = None,
        both_seconds: float = BOTH_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.up = False
        self.heard_at: float | None = None
        self.acknowledged = 0
        self._store = store
        self._view = view
        self._id = id
        self._state_file = state_file
        self._both_seconds = both_seconds
        self._clock = clock
        self._checks = ChecksReader(store, view, clock=clock, hears=lambda: self._is_heard)
        self._is_heard = False  # the store took our last word
        self._progressed = asyncio.Event()
        self._announced = asyncio.Event()
        self._state_moved = asyncio.Event()
        self._is_from_disk = False
        self._applied_at = 0.0
        self._loss: Loss | None = None
        self._why_down = self._why_diverged = ""

    @property
    def label(self) -> str:
        """What people call what it follows."""
        return self._store.label

    async def run(self) -> None:
        """Follow until cancelled; an outage is waited out.

        Raises:
            StoreRefused: there is a store, and it or what it holds is not usable.
        """
        await self._open()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat_on())
            group.create_task(self._follow_on())
            group.create_task(self._hear_reports())
            group.create_task(self._read_configured_on())
            group.create_task(self._checks.run())
            if self._state_file is not None:
                path, moved = self._state_file, self._state_moved
                group.create_task(
                    keep_state(path, self._store.label, self._worth_keeping, moved=moved, clock=self._clock)
                )

    async def leave(self) -> None:
        """Say that the router has ended, so that nobody waits for it."""
        with contextlib.suppress(StoreUnavailable):
            await self._store.forget_consumer(self._id)

    # --- start --------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        try:
            await self._store.open()
        except StoreRefused:
            raise
        except StoreUnavailable as error:
            await self._start_from_disk()
            self._failed(error)

    async def _start_from_disk(self) -> None:
        if self._state_file is None:
            return
        try:
            last = await asyncio.to_thread(laststate.read, self._state_file)
        except ValueError as error:
            log.error("the last state is not used: %s", error)
            return
        if last is not None:
            self._view.hold(last.heard_at)  # who was fresh then may have reported ever since
            self._view.replace(last.state, now=self._clock())
            self._is_from_disk, self.heard_at = True, last.heard_at
            self._applied_at = self._clock()
            log.warning("starting from the last state in %s: revision %d", self._state_file, last.state.revision)

    # --- the store is told --------------------------------------------------------------------------------------

    async def _beat_on(self) -> None:
        while True:
            self._progressed.clear()
            try:
                await self._say()
                seconds, self._is_heard = HEARTBEAT_SECONDS, True
            except StoreUnavailable as error:
                log.debug("no heartbeat: %s", error)
                seconds, self._is_heard = RETRY_SECONDS, False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._progressed.wait()
                    continue

    async def _say(self) -> None:
        view, now = self._view, self._clock()
        said = Consumer(
            id=self._id,
            kind=ROUTER_KIND,
            applied=view.revision if view.loaded else 0,
            applied_at=self._applied_at or now,
            seen_at=now,
            mark=view.mark,
        )
        await self._store.heartbeat(said)
        self.acknowledged = said.applied
        self._announced.set()

    def _obeyed(self) -> None:
        """Take note that the view has come further: whoever waits for that is told at once."""
        self._applied_at = self._clock()
        self._progressed.set()
        self._state_moved.set()

    # --- the view is kept ---------------------------------------------------------------------------------------

    async def _follow_on(self) -> None:
        await self._announced.wait()  # so that a drain is either in what is loaded next, or we are waited for
        wait_seconds = 0.0
        while True:
            try:
                await self._step(wait_seconds)
                self._reached()
                wait_seconds = WAIT_SECONDS
            except StoreUnavailable as error:
                self._failed(error)
                wait_seconds = 0.0  # the first answer tells that it is there; it must not wait for a change
                await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.0))

    async def _step(self, wait_seconds: float) -> None:
        view = self._view
        if not view.loaded:
            await self._load()
            return
        if self._loss is not None:
            await self._obey_both(self._loss)  # an outage came in between
            return
        try:
            records = await self._store.changes(after=view.revision, mark=view.mark, wait_seconds=wait_seconds)
        except StoreDiverged as error:
            await self._obey_both(await self._noticed(error))
        except ChangesTrimmed:
            await self._load()
        else:
            if self._is_from_disk:
                await self._load()  # what the file has of nodes and reports may be old
            elif records:
                view.apply(records, now=self._clock())
                self._obeyed()

    async def _load(self) -> None:
        """Take the store's state, where it is not older than what is obeyed."""
        configured = await self._store.configured()
        await self._checks.look()  # so that no node is named at first that is known to be down
        state = await self._store.load()
        if self._view.loaded and state.revision < self._view.revision:
            await asyncio.sleep(AGAIN_SECONDS)  # the next look finds out what happened
            return
        now = self._clock()
        self._take_configured(configured, now=now)
        self._view.replace(state, now=now)
        self._is_from_disk = False
        self._obeyed()
        log.info("loaded revision %d: %d nodes, %d drains", state.revision, self._view.size, len(state.drains))

    async def _noticed(self, error: StoreDiverged) -> Loss:
        if str(error) != self._why_diverged:
            log.error("%s: it has lost writes, and what is known holds on", error)
            self._why_diverged = str(error)
        servers = servers_of(await self._store.consumers())
        return Loss(self._view.state, servers, noticed_at=time.monotonic())

    async def _obey_both(self, loss: Loss) -> None:
        """Obey what is known and what the store has now together, until its servers agree on the latter."""
        while True:
            found = await self._store.load()
            if found.revision < loss.known.revision:
                await asyncio.sleep(AGAIN_SECONDS)  # it is behind: the next look comes here again
                return
            now = servers_of(await self._store.consumers())
            is_over = time.monotonic() - loss.noticed_at >= self._both_seconds
            is_settled = is_over and servers_agree(loss.servers, now, found)
            self._loss = None if is_settled else loss
            self._view.replace(found if is_settled else union(loss.known, found), now=self._clock())
            self._obeyed()
            if is_settled:
                self._is_from_disk, self._why_diverged = False, ""
                log.warning("the store's own history counts again, at revision %d", found.revision)
                return
            self._reached()
            await asyncio.sleep(AGAIN_SECONDS)

    # --- what makes no revision ---------------------------------------------------------------------------------

    async def _hear_reports(self) -> None:
        place: str | None = None
        while True:
            try:
                reports, place = await self._store.reports(
                    after=place, wait_seconds=WAIT_SECONDS, known=self._view.sequence_of
                )
                self._view.take_reports(reports, now=self._clock())
            except StoreUnavailable:
                await asyncio.sleep(RETRY_SECONDS)

    async def _read_configured_on(self) -> None:
        await self._announced.wait()
        while True:
            with contextlib.suppress(StoreUnavailable):
                self._take_configured(await self._store.configured(), now=self._clock())
            await asyncio.sleep(CONFIGURED_SECONDS)

    def _take_configured(self, nodes: Sequence[Node] | None, *, now: float) -> None:
        """Take the nodes of the servers' configuration; a store that has lost them takes nobody away."""
        if nodes is not None:
            self._view.take_configured(nodes, now=now)

    def _worth_keeping(self) -> FleetState | None:
        return self._view.state if self._view.loaded and not self._is_from_disk else None

    # --- up and down --------------------------------------------------------------------------------------------

    def _reached(self) -> None:
        self.heard_at = self._clock()
        if not self.up:
            self.up = True
            self._view.release(self.heard_at)
            log.info("%s: following from revision %d", self.label, self._view.revision)

    def _failed(self, error: StoreUnavailable) -> None:
        if self.up or str(error) != self._why_down:
            log.warning("%s; %s", error, "obeying what is known" if self._view.loaded else "naming nobody until it is")
            self._why_down = str(error)
        self.up = False
        self._view.hold(self._clock())
