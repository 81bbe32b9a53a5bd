"""The connections to the one Redis that takes writes: found, checked, watched, and found again.

It owns where the primary is and whether it can be reached. What is asked of it, and what keys there are, is for others.

    down ──dialled (back-off with jitter)──► up ──lost, or no longer the primary──► down
                                             └──only a replica was there──► up, and looking for a primary──► up

While it is down nothing waits: a call fails at once with why, and one task goes on dialling.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import MovedError

from dnsd.errors import StoreUnavailable
from dnsd.stores.redis import faults
from dnsd.stores.redis.address import Address, Credentials, Host, Kind, host_text

# How long one server may take to be connected to and checked. Unit: seconds.
DIAL_SECONDS = 1.0

# How long an answer may take; Redis answers in less than a millisecond. Unit: seconds.
ANSWER_SECONDS = 2.0

# Between attempts to connect: doubles from the first to the last, less a random part. Unit: seconds.
FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 1.0

# How often a better server than a read-only one is looked for. Unit: seconds.
LOOK_SECONDS = 5.0

# A cluster says which of its nodes has our slot; one that sends us round is not settled yet. Unit: redirections.
MAX_MOVES = 3

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, eq=False)
class Connected:
    """A server that was dialled and checked.

    Args:
        commands: for calls that are answered at once, one after the other.
        confirming: for those that wait for replicas.
        listening: for the one call that waits for news.
        is_replica: it takes no writes now.
        clock_ahead: seconds by which its clock is ahead of this process's steady one.
    """

    commands: Redis
    confirming: Redis
    listening: Redis
    is_replica: bool = False
    clock_ahead: float = 0.0

    def clock_in(self, seconds: float) -> float:
        """Return what the server's clock will show when so many seconds have passed: seconds since the epoch."""
        return time.monotonic() + self.clock_ahead + seconds

    async def close(self) -> None:
        """Close all connections; what they still wait for fails."""
        for client in (self.commands, self.confirming, self.listening):
            with contextlib.suppress(*faults.ANY):
                await client.aclose()


class Link:
    """Keeps up a connection to the primary.

    Args:
        label: what people call the store.
        check: looks at a server before it is used: whether it is a replica. It raises what `faults` has words for.
        on_up, on_down: called at each turn.
    """

    def __init__(
        self,
        address: Address,
        *,
        label: str,
        check: Callable[[Redis], Awaitable[bool]],
        on_up: Callable[[Connected], None],
        on_down: Callable[[], None],
    ) -> None:
        self._address = address
        self._label = label
        self._check = check
        self._on_up = on_up
        self._on_down = on_down
        self._connected: Connected | None = None
        self._why = StoreUnavailable(f"{label}: the store is not open")
        self._turn = asyncio.Lock()  # of the commands
        self._turn_to_confirm = asyncio.Lock()
        self._fell = asyncio.Event()
        self._moved_to: Host | None = None
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
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        await self._down(StoreUnavailable(f"{self._label}: the store is not open"))

    async def run(
        self, job: Callable[[Redis], Awaitable[ResultT]], *, seconds: float = ANSWER_SECONDS, confirms: bool = False
    ) -> ResultT:
        """Do something on a connection, after what was asked for before.

        Args:
            job: uses the client that it is given, and nothing after it has returned.
            seconds: what it may take.
            confirms: it waits for replicas, so that it goes beside the others rather than before them.

        Raises:
            StoreUnavailable: at once while the link is down.
        """
        self._check_keeper()
        async with self._turn_to_confirm if confirms else self._turn:
            connected = self._connected
            if connected is None:
                raise self._again()
            try:
                async with asyncio.timeout(seconds):
                    return await job(connected.confirming if confirms else connected.commands)
            except faults.ANY as error:
                raise await self.failed(connected, error) from error

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
            self._moved_to = self._place_of(error)
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
            elif connected.is_replica:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._fell.wait(), LOOK_SECONDS)
                await self._look_for_primary()
            else:
                await self._fell.wait()

    async def _connect_again(self) -> None:
        delay = FIRST_RETRY_SECONDS
        while self._connected is None:
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, LAST_RETRY_SECONDS)
            with contextlib.suppress(StoreUnavailable):  # kept as the reason, which calls raise
                await self._connect()

    async def _look_for_primary(self) -> None:
        before = self._connected
        if before is None:
            return
        try:
            found = await self._dial()
        except StoreUnavailable:
            return  # the replica still serves those who read
        async with self._turn:  # no call is on its way: for nobody is this an outage
            takes_place = not found.is_replica and self._connected is before
            if takes_place:
                self._on_down()
                self._up(found)
        await (before if takes_place else found).close()

    async def _connect(self) -> None:
        try:
            self._up(await self._dial())
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
            await connected.close()

    def _again(self) -> StoreUnavailable:
        """Return the reason anew: an exception that is raised twice collects tracebacks."""
        return type(self._why)(str(self._why))

    def _check_keeper(self) -> None:
        """Let out a fault of ours that has ended the keeper: without it the link would stay down in silence."""
        if self._keeping is not None and self._keeping.done():
            self._keeping.result()

    # --- dialling -----------------------------------------------------------------------------------------------

    async def _dial(self) -> Connected:
        """Connect to the first server that is the primary; where there is but one address, also to a replica.

        Raises:
            StoreUnavailable: there is none; the reason is the last server's.
        """
        failure = StoreUnavailable(f"{self._label}: there is no server to try")
        only = self._address.kind is not Kind.SENTINEL and len(self._address.hosts) <= 1
        for _ in range(MAX_MOVES):
            moved_to = self._moved_to
            for host in await self._candidates():
                try:
                    connected = await self._dial_one(host)
                except StoreUnavailable as error:
                    failure = error
                    continue
                if connected.is_replica and not only:
                    await connected.close()
                    failure = StoreUnavailable(f"{self._label}: {_text(host)} is a replica, not the primary")
                    continue
                return connected
            if self._moved_to == moved_to:
                break
        self._moved_to = None
        raise failure

    async def _candidates(self) -> Sequence[Host | None]:
        """Return the servers to try; None stands for the socket."""
        if self._address.kind is Kind.UNIX:
            return (None,)
        if self._address.kind is Kind.SENTINEL:
            return (await self._ask_sentinels(),)
        hosts = [host for host in self._address.hosts if host != self._moved_to]
        return hosts if self._moved_to is None else [self._moved_to, *hosts]

    async def _ask_sentinels(self) -> Host:
        service = self._address.service or ""
        # Each of them has its time, so that one that hangs does not hide the others.
        options = {**_options(self._address.sentinel, None), "socket_timeout": DIAL_SECONDS}
        sentinel = Sentinel(self._address.hosts, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(2 * DIAL_SECONDS * len(self._address.hosts)):
                host, port = await sentinel.discover_master(service)
        except MasterNotFoundError as error:
            raise StoreUnavailable(
                f"{self._label}: no sentinel that can be reached knows a primary of {service!r}"
            ) from error
        except faults.ANY as error:
            raise faults.unavailable(self._label, error) from error
        finally:
            with contextlib.suppress(*faults.ANY):
                await sentinel.aclose()
        return str(host), int(port)

    async def _dial_one(self, host: Host | None) -> Connected:
        connected = Connected(self._client(host), self._client(host), self._client(host))
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                is_replica = await self._check(connected.commands)
                await connected.listening.ping()
                seconds, microseconds = await connected.commands.time()
        except faults.ANY as error:
            if isinstance(error, MovedError):
                self._moved_to = self._place_of(error)
            await connected.close()
            raise faults.unavailable(self._label, error) from error
        except BaseException:
            await connected.close()
            raise
        clock_ahead = seconds + microseconds / 1e6 - time.monotonic()
        return replace(connected, is_replica=is_replica, clock_ahead=clock_ahead)

    def _client(self, host: Host | None) -> Redis:
        options = _options(self._address.credentials, self._address)
        if host is None:
            return Redis(unix_socket_path=self._address.path, **options)
        return Redis(host=host[0], port=host[1], **options)

    def _place_of(self, error: MovedError) -> Host:
        # A cluster that does not know what others call its node leaves the host empty: the one that was asked.
        return error.host or self._address.hosts[0][0], error.port


def _text(host: Host | None) -> str:
    return "the socket's server" if host is None else host_text(host)


def _options(credentials: Credentials, address: Address | None) -> dict[str, Any]:
    """Return the client library's options; trying again is ours to do, and so are timeouts."""
    options: dict[str, Any] = {
        "username": credentials.user,
        "password": credentials.password,
        "decode_responses": True,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": DIAL_SECONDS,
    }
    if address is not None:
        options["db"] = address.db
        if address.tls is not None:
            files = {"ssl_ca_certs": address.tls.ca, "ssl_certfile": address.tls.cert, "ssl_keyfile": address.tls.key}
            options |= {"ssl": True, **{name: str(path) for name, path in files.items() if path is not None}}
    return options
