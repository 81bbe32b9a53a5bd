"""Dialling a Redis: which servers to try, and a connection to the first one that will do.

It owns hosts, sentinels, redirections of a cluster, and the client library's options. It dials when it is told to;
when that is, and what becomes of a connection, is the `link`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

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

# A cluster says which of its nodes has our slot; one that sends us round is not settled yet. Unit: redirections.
MAX_MOVES = 3


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


class Dialler:
    """Finds the primary of an address.

    Args:
        label: what people call the store.
        check: looks at a server before it is used: whether it is a replica. It raises what `faults` has words for.
    """

    def __init__(self, address: Address, *, label: str, check: Callable[[Redis], Awaitable[bool]]) -> None:
        self._address = address
        self._label = label
        self._check = check
        self._moved_to: Host | None = None

    def moved(self, error: MovedError) -> None:
        """Take note of where a cluster has our slot."""
        # One that does not know what others call its node leaves the host empty: the one that was asked.
        self._moved_to = error.host or self._address.hosts[0][0], error.port

    async def dial(self) -> Connected:
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
                self.moved(error)
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


def _text(host: Host | None) -> str:
    return "the socket's server" if host is None else host_text(host)


def _options(credentials: Credentials, address: Address | None) -> dict[str, Any]:
    """Return the client library's options; trying again is ours to do, and so are timeouts."""
    options: dict[str, Any] = {
        "username": credentials.user,
        "password": credentials.password,
        "decode_responses": True,
        "encoding_errors": "replace",  # one value that is no text must not hide those beside it
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
