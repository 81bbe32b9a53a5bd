"""Saying in the store that a server comes up, from before it loads what it will serve until its heartbeats begin.

begin ──said──► every 2 s again ──end──► came up: the heartbeats of `Consumers` go on
                      └──the start failed: withdraw──► forgotten, where nobody was known by the id before
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from dnsd.control.consumers import DNS_KIND, HEARTBEAT_SECONDS
from dnsd.errors import StoreUnavailable
from dnsd.model.state import Consumer
from dnsd.stores.base import DrainStore

log = logging.getLogger(__name__)


class Announcement:
    """The word of a server that comes up: it is there, and has applied nothing yet.

    Who acknowledges a drain from then on waits for it, so that it either loads the drain or is waited for.

    Args:
        clock: gives the present instant.
    """

    def __init__(self, server_id: str, store: DrainStore, *, clock: Callable[[], float]) -> None:
        self._id = server_id
        self._store = store
        self._clock = clock
        self._known_before: bool | None = None  # None: nothing was said yet
        self._came_up = False
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Say it, and go on saying it; a store that does not take it is told of in the log."""
        try:
            await self._say()
        except StoreUnavailable as error:
            log.warning("other servers do not know that this one comes up: %s", error)
        self.go_on()

    def go_on(self) -> None:
        """Say it from now on, every now and then; where the store is away, once it is back."""
        if self._task is None:
            self._task = asyncio.create_task(self._repeat())

    async def end(self) -> None:
        """Say it no more; when this returns, nothing of it is on its way to the store any more."""
        self._over.set()
        if self._task is not None:
            await self._task

    def came_up(self) -> None:
        """Note that the start is over: what stands in the store is the server's own from here on."""
        self._came_up = True

    async def withdraw(self) -> None:
        """Take it back where the server has not come up, so that nobody waits for it.

        Where the store had a word under the id before, it was that of a server that runs with the same id, or of one
        that died: its workers may still answer, so that it must not be forgotten.
        """
        await self.end()
        if self._came_up:
            return
        if self._known_before is False:
            try:
                await self._store.forget_consumer(self._id)
            except StoreUnavailable as error:
                log.debug("the announcement stands: %s", error)  # the others notice the silence

    async def _say(self) -> None:
        now = self._clock()
        known = await self._store.heartbeat(
            Consumer(id=self._id, kind=DNS_KIND, applied=0, applied_at=now, seen_at=now)
        )
        if self._known_before is None:
            self._known_before = known

    async def _repeat(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._over.wait()
                return
            try:
                await self._say()
            except StoreUnavailable as error:
                log.debug("the announcement is not repeated: %s", error)
