"""All connections of a worker, whatever is said on them: who may connect, who must make room, who was idle too long.

Owns listening sockets and the order of connections by their last activity. It must not know what is said on them.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from dnsd.core.via import Transport, Via
from dnsd.transports.conversation import Connection
from dnsd.transports.introduction import Introduction, Successor
from dnsd.transports.limits import TcpLimits
from dnsd.transports.proxy import Proxies
from dnsd.transports.responder import Responder
from dnsd.transports.sockets import TCP_BACKLOG
from dnsd.transports.tcp import TcpConnection
from dnsd.transports.turns import Turns

# How often idle connections are looked for, so that one is closed at most this much late. Unit: seconds.
SWEEP_SECONDS = 0.5

# How long the end waits for clients to read their last answers. Unit: seconds.
LAST_ANSWERS_SECONDS = 1.0

# How often before that clients who asked much may have their turns, 2 ms for all of them. Unit: passes of the loop.
LAST_PASSES = 100

# A fault of ours is logged with its traceback, at most once in this time: a client that found one must not be able to
# fill the disk. Unit: seconds.
FAILURE_LOG_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class TcpCounts:
    """What happened to connections, since the worker began.

    Args:
        accepted: connections taken.
        refused: closed at once: their client has too many, and all are busy.
        evicted: closed to make room for a new one.
        timed_out: closed because no query came, or answers were not read.
        failures: closed because of a fault of ours.
    """

    accepted: int = 0
    refused: int = 0
    evicted: int = 0
    timed_out: int = 0
    failures: int = 0


class TcpService:
    """The TCP side of a worker.

    Args:
        responder: answers each message.
        limits: see `TcpLimits`.
        proxies: who must say for whom it connects; None: nobody.
    """

    def __init__(self, responder: Responder, *, limits: TcpLimits, proxies: Proxies | None = None) -> None:
        self.counts = TcpCounts()
        self.turns = Turns()
        self._responder = responder
        self._limits = limits
        self._proxies = proxies
        self._via = Via(Transport.TCP, idle_seconds=limits.idle_seconds)
        self._servers: list[asyncio.Server] = []
        # The one that is idle longest comes first: with it, time-outs and making room need no search.
        self._last_active: OrderedDict[Connection, float] = OrderedDict()
        self._per_client: Counter[str | bytes] = Counter()
        self._sweep: asyncio.TimerHandle | None = None
        self._emptied = asyncio.Event()
        self._failure_logged_at = -FAILURE_LOG_SECONDS

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._last_active)

    async def start(self, sock: socket.socket, make: Successor | None = None) -> None:
        """Accept connections of a socket from `open_tcp`; the service closes it.

        Args:
            make: makes what is said on a connection; None: DNS over TCP.
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._factory(make or self._plain), sock=sock, backlog=TCP_BACKLOG)
        self._servers.append(server)
        if self._sweep is None:
            self._sweep = loop.call_later(SWEEP_SECONDS, self._close_idle)

    async def stop(self) -> None:
        """Accept nothing more, send what is unsent, and close every connection."""
        # One turn of the loop takes what the kernel has accepted for us, a second one reads what it has received.
        for _ in range(3):
            await asyncio.sleep(0)
        for server in self._servers:
            server.close()
        for _ in range(2):
            await asyncio.sleep(0)
        if self._sweep is not None:
            self._sweep.cancel()
        for _ in range(LAST_PASSES):
            if not self.turns.waiting:
                break
            await asyncio.sleep(0)
        for connection in tuple(self._last_active):
            connection.close()
        if self._last_active:
            try:
                await asyncio.wait_for(self._emptied.wait(), LAST_ANSWERS_SECONDS)
            except TimeoutError:
                for connection in tuple(self._last_active):
                    connection.abort()
                await asyncio.sleep(0)

    def opened(self, connection: Connection) -> bool:
        """See `ConnectionKeeper.opened`."""
        key = client_key(connection.client)  # empty while it is not known: then it is one among all, and of no client
        # RFC 7766 §6.2.3: the idle period may vary with the resources. So a new connection gets in, and whoever holds
        # others open without asking loses them first.
        if key and self._per_client[key] >= self._limits.connections_per_client:
            idle = self._idle_longest_of(key)
            if idle is None:
                self.counts.refused += 1
                return False
            self._evict(idle)
        elif len(self._last_active) >= self._limits.connections:
            self._evict(next(iter(self._last_active)))
        if key:  # else it counts when it is known whose it is
            self.counts.accepted += 1
        self._per_client[key] += 1
        self._last_active[connection] = asyncio.get_running_loop().time()
        self._emptied.clear()
        return True

    def active(self, connection: Connection) -> None:
        """See `ConnectionKeeper.active`."""
        if connection in self._last_active:
            self._last_active[connection] = asyncio.get_running_loop().time()
            self._last_active.move_to_end(connection)

    def failed(self, failure: Exception) -> None:
        """See `ConnectionKeeper.failed`."""
        self.counts.failures += 1
        now = asyncio.get_running_loop().time()
        if now - self._failure_logged_at >= FAILURE_LOG_SECONDS:
            self._failure_logged_at = now
            _log.error("a connection met a fault of ours and was closed", exc_info=failure)

    def closed(self, connection: Connection) -> None:
        """See `ConnectionKeeper.closed`."""
        if self._last_active.pop(connection, None) is not None:
            self._forget_client(connection)
        if not self._last_active:
            self._emptied.set()

    def _factory(self, make: Successor) -> Callable[[], asyncio.Protocol]:
        proxies = self._proxies
        if proxies is None:
            return lambda: make("")
        return lambda: Introduction(make, self, proxies=proxies)

    def _plain(self, client: str) -> TcpConnection:
        return TcpConnection(self._responder, self, via=self._via, limits=self._limits, client=client)

    def _idle_longest_of(self, key: str | bytes) -> Connection | None:
        """Return the connection of a client that asked nothing for longest, None if all have asked just now."""
        idle_since = asyncio.get_running_loop().time() - self._limits.evictable_seconds
        for connection, last_active in self._last_active.items():
            if last_active > idle_since:
                return None  # they stand in the order of their last activity
            if client_key(connection.client) == key:
                return connection
        return None

    def _evict(self, connection: Connection) -> None:
        del self._last_active[connection]
        self._forget_client(connection)
        connection.abort()
        self.counts.evicted += 1

    def _forget_client(self, connection: Connection) -> None:
        key = client_key(connection.client)
        self._per_client[key] -= 1
        if self._per_client[key] <= 0:
            del self._per_client[key]

    def _close_idle(self) -> None:
        loop = asyncio.get_running_loop()
        oldest_allowed = loop.time() - self._limits.idle_seconds
        while self._last_active:
            connection, last_active = next(iter(self._last_active.items()))
            if last_active > oldest_allowed:
                break
            del self._last_active[connection]
            self._forget_client(connection)
            connection.abort()
            self.counts.timed_out += 1
        self._sweep = loop.call_later(SWEEP_SECONDS, self._close_idle)


def client_key(host: str) -> str | bytes:
    """Return what a client's connections are counted under: its IPv4 address, or its IPv6 /64.

    A /64 is what one customer or one machine commonly has at its disposal.
    """
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8] if ":" in host else host
