"""A Redis that is connected to: one client for each kind of call, so that none waits for one of another kind.

It owns the client library's options and the look at a server before it is used. Which server that is, is `dialling`'s
business.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from dnsd.stores.redis import faults
from dnsd.stores.redis.address import Address, Credentials, Host, host_text

# How long one server may take to be connected to and checked. Unit: seconds.
DIAL_SECONDS = 1.0

# How long an answer may take; Redis answers in less than a millisecond. Unit: seconds.
ANSWER_SECONDS = 2.0


class Lane(enum.Enum):
    """A kind of call: those of one kind go one after the other, those of two kinds beside each other."""

    COMMANDS = enum.auto()  # answered at once
    LOADING = enum.auto()  # answers that may be large
    CONFIRMING = enum.auto()  # wait for replicas
    LISTENING = enum.auto()  # wait for news


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at a server has found.

    Args:
        run_id: by which it is known whatever address leads to it; another one after each start.
        is_replica: it takes no writes now.
        revision: of the fleet, as it has it.
        replicas: how many follow it.
    """

    run_id: str
    is_replica: bool
    revision: int
    replicas: int = 0

    @property
    def standing(self) -> tuple[int, int, str]:
        """Return what the servers of a fleet choose by among several that take writes: the greatest."""
        return self.revision, self.replicas, self.run_id


@dataclass(frozen=True, slots=True, eq=False)
class Connected:
    """A server that was connected to and checked.

    Args:
        host: None stands for a Unix socket.
        clients: of each lane.
        clock_ahead: seconds by which its clock is ahead of this process's steady one.
    """

    host: Host | None
    clients: Mapping[Lane, Redis]
    checked: Checked = Checked("", False, 0)
    clock_ahead: float = 0.0

    @property
    def text(self) -> str:
        """What people call it."""
        return server_text(self.host)

    @property
    def is_replica(self) -> bool:
        """Whether it took no writes when it was looked at."""
        return self.checked.is_replica

    def clock_in(self, seconds: float) -> float:
        """Return what the server's clock will show when so many seconds have passed: seconds since the epoch."""
        return time.monotonic() + self.clock_ahead + seconds

    async def close(self) -> None:
        """Close all connections; what they still wait for fails."""
        for client in self.clients.values():
            with contextlib.suppress(*faults.ANY):
                await client.aclose()


async def connect(address: Address, host: Host | None, check: Callable[[Redis], Awaitable[Checked]]) -> Connected:
    """Connect to one server of an address, and look at it.

    Args:
        host: None stands for the socket.

    Raises:
        StoreUnavailable: it is not usable.
        RedisError, OSError, ValueError: it cannot be asked; `faults` has the words.
    """
    connected = Connected(host, {lane: _client(address, host) for lane in Lane})
    commands = connected.clients[Lane.COMMANDS]
    try:
        async with asyncio.timeout(DIAL_SECONDS):
            checked = await check(commands)
            await connected.clients[Lane.LISTENING].ping()
            seconds, microseconds = await commands.time()
    except BaseException:
        await connected.close()
        raise
    clock_ahead = seconds + microseconds / 1e6 - time.monotonic()
    return replace(connected, checked=checked, clock_ahead=clock_ahead)


def server_text(host: Host | None) -> str:
    """Return what people call a server of an address."""
    return "the socket's server" if host is None else host_text(host)


def _client(address: Address, host: Host | None) -> Redis:
    options = client_options(address.credentials) | {"db": address.db}
    if address.tls is not None:
        files = {"ssl_ca_certs": address.tls.ca, "ssl_certfile": address.tls.cert, "ssl_keyfile": address.tls.key}
        options |= {"ssl": True, **{name: str(path) for name, path in files.items() if path is not None}}
    if host is None:
        return Redis(unix_socket_path=address.path, **options)
    return Redis(host=host[0], port=host[1], **options)


def client_options(credentials: Credentials) -> dict[str, Any]:
    """Return the client library's options; trying again is ours to do, and so are timeouts."""
    return {
        "username": credentials.user,
        "password": credentials.password,
        "decode_responses": True,
        "encoding_errors": "replace",  # one value that is no text must not hide those beside it
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": DIAL_SECONDS,
    }
