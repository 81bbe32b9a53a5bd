"""The link to the one Redis that takes writes: up or down, and put up again.

It owns whether the primary can be reached, and the order of calls. Where it is, is for `dialling`; what is asked of it,
for others.

    down ──dialled (back-off with jitter)──► up ──lost, or no longer the primary──► down
                                             └──there may be a better server──► up, and looking for it──► up

While it is down nothing waits: a call fails at once with why, and one task goes on dialling.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import MovedError

from dnsd.errors import StoreUnavailable
from dnsd.stores.redis import faults
from dnsd.stores.redis.connecting import ANSWER_SECONDS, Connected, Lane
from dnsd.stores.redis.dialling import Dialler

log = logging.getLogger(__name__)

# Between attempts to connect: doubles from the first to the last, less a random part. Unit: seconds.
FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 1.0

# How often it is looked for a better server than a read-only one, and, where there are several, for another primary.
# Unit: seconds.
LOOK_SECONDS = 5.0

# Between cancellations of the keeper, until it has ended. Unit: seconds.
CANCEL_SECONDS = 0.2

ResultT = TypeVar("ResultT")


class Link:
    """Keeps up a connection to the primary.

    Args:
        label: what people call the store.
        on_up, on_down: called at each turn.
    """

    def __init__(
        self,
        dialler: Dialler,
        *,
        label: str,
        on_up: Callable[[Connected], None],
        on_down: Callable[[], None],
    ) -> None:
        self._dialler = dialler
        self._label = label
        self._on_up = on_up
        self._on_down = on_down
        self._connected: Connected | None = None
        self._why = StoreUnavailable(f"{label}: the store is not open")
        self._turns = {lane: asyncio.Lock() for lane in Lane}
        self._ends: set[asyncio.Timeout] = set()  # of the calls that are on their way
        self._closing: set[asyncio.Task[None]] = set()
        self._fell = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Dial once, and from then on keep the link up.

        Raises:
            StoreUnavailable: it is down, and is tried again until `close`.
        """
        try:
            await self._connect()
        finally:
            self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Let go of everything; calls fail from now on."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            while not keeping.done():  # one that comes while a server is looked for may get lost on its way
                keeping.cancel()
                await asyncio.wait((keeping,), timeout=CANCEL_SECONDS)
            await asyncio.gather(keeping, return_exceptions=True)
        await self._down(StoreUnavailable(f"{self._label}: the store is not open"))
        if self._closing:  # who found out that a connection is lost may not be done with it
            await asyncio.wait(self._closing)

    async def run(
        self,
        job: Callable[[Redis], Awaitable[ResultT]],
        *,
        seconds: float = ANSWER_SECONDS,
        lane: Lane = Lane.COMMANDS,
    ) -> ResultT:
        """Do something on a connection, after the commands that were asked for before.

        Args:
            job: uses the client that it is given, and nothing after it has returned.
            seconds: what it may take.
            lane: what it goes beside, rather than before it.

        Raises:
            StoreUnavailable: at once while the link is down.
        """
        self._check_keeper()
        if lane is not Lane.COMMANDS:
            async with self._turns[Lane.COMMANDS]:
                pass  # the commands before it are done
        async with self._turns[lane]:
            connected = self._connected
            if connected is None:
                raise self._again()
            try:
                async with asyncio.timeout(seconds) as end:
                    self._ends.add(end)
                    try:
                        return await job(connected.clients[lane])
                    finally:
                        self._ends.discard(end)
            except faults.ANY as error:
                raise await self.failed(connected, error) from error

    def check_up(self) -> None:
        """Ask for nothing, only whether the link is up.

        Raises:
            StoreUnavailable: it is down.
        """
        self._check_keeper()
        if self._connected is None:
            raise self._again()

    def server_clock_in(self, seconds: float) -> float:
        """Return what the server's clock will show when so many seconds have passed; for use in a job.

        Raises:
            StoreUnavailable: the link is down.
        """
        if self._connected is None:
            raise self._again()
        return self._connected.clock_in(seconds)

    async def dial_again(self, why: str) -> StoreUnavailable:
        """Let go of the connection, since something is not as it was when it was made; return what to raise."""
        error = StoreUnavailable(f"{self._label}: {why}")
        await self._down(error)
        return error

    async def failed(self, connected: Connected, error: BaseException, *, lost: bool = False) -> StoreUnavailable:
        """Take note of what went wrong on a connection, and return what to raise.

        The link goes down where the connection is lost, and where another server is the primary by now.

        Args:
            lost: it is of no use any more, whatever the error says.
        """
        if connected is not self._connected:
            return self._again()  # somebody else found out first, and why; this call only saw the connection close
        if isinstance(error, MovedError):
            self._dialler.moved(error)
        unavailable = faults.unavailable(self._label, error)
        elsewhere = isinstance(error, MovedError) or (faults.READ_ONLY in str(error) and not connected.is_replica)
        if lost or elsewhere or isinstance(error, faults.LOST):
            await self._down(unavailable)
        return unavailable

    # --- keeping it up ------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            self._fell.clear()
            connected = self._connected
            if connected is None:
                await self._connect_again()
            elif connected.is_replica or self._dialler.has_choice:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._fell.wait(), LOOK_SECONDS)
                await self._look_for_better()
            else:
                await self._fell.wait()

    async def _connect_again(self) -> None:
        delay = FIRST_RETRY_SECONDS
        while self._connected is None:
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, LAST_RETRY_SECONDS)
            with contextlib.suppress(StoreUnavailable):  # kept as the reason, which calls raise
                await self._connect()

    async def _look_for_better(self) -> None:
        """Go over to another server that is the primary by now."""
        before = self._connected
        if before is None:
            return
        try:
            unused = await self._dialler.better_than(before)
        except StoreUnavailable:
            return  # the one that there is still serves
        if unused is None:
            return
        try:
            async with contextlib.AsyncExitStack() as turns:
                # No call is on its way then: for nobody is this an outage. Commands are the last to be held up.
                for lane in (Lane.LOADING, Lane.CONFIRMING, Lane.COMMANDS):
                    await turns.enter_async_context(self._turns[lane])
                if self._connected is before:
                    log.warning("%s: the primary is %s by now", self._label, unused.text)
                    self._on_down()
                    self._up(unused)
                    unused = before
        finally:
            await unused.close()

    async def _connect(self) -> None:
        try:
            self._up(await self._dialler.dial())
        except StoreUnavailable as error:
            self._why = error
            raise

    def _up(self, connected: Connected) -> None:
        self._connected = connected
        self._on_up(connected)

    async def _down(self, why: StoreUnavailable) -> None:
        self._why = why
        connected, self._connected = self._connected, None
        self._fell.set()
        if connected is not None:
            self._on_down()
            for end in self._ends:
                if not end.expired():
                    end.reschedule(0.0)  # at once: a call that still connects would not notice
            closing = asyncio.create_task(connected.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            await asyncio.shield(closing)

    def _again(self) -> StoreUnavailable:
        """Return the reason anew: an exception that is raised twice collects tracebacks."""
        return type(self._why)(str(self._why))

    def _check_keeper(self) -> None:
        """Let out a fault of ours that has ended the keeper: without it the link would stay down in silence."""
        if self._keeping is not None and self._keeping.done():
            self._keeping.result()
