"""Viewers of a fleet of media servers: they find a node by DNS or by a router, connect, stay a while, and go.

A session that cannot begin, or that ends before its viewer wants it to, has failed. They run in a thread of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
import dns.asyncquery
import dns.message
import dns.rdatatype

from tests.support.servers import wait_until

VIEWERS = 12
LEAST_SECONDS, MOST_SECONDS = 0.1, 1.2
BREATH_SECONDS = 0.03

# Of a question, a connection or an echo. Unit: seconds.
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Session:
    """A session that began.

    Args:
        way: `dns`, `cache` (an answer that a resolver had), or `router`.
        began: on the monotonic clock, just before the node was chosen.
    """

    way: str
    address: str
    began: float


class _Resolver:
    """Keeps an answer as long as its TTL allows, as all viewers behind one resolver see it."""

    def __init__(self, name: str, ports: Sequence[int]) -> None:
        self._name = name
        self._ports = itertools.cycle(ports)
        self._addresses: list[str] = []
        self._until = 0.0

    async def address(self, rng: random.Random) -> tuple[str, str]:
        """Return an address, and whether it was asked for or known."""
        if time.monotonic() < self._until:
            return rng.choice(self._addresses), "cache"
        query = dns.message.make_query(self._name, "A")
        answer = await dns.asyncquery.udp(query, "127.0.0.1", port=next(self._ports), timeout=PATIENCE_SECONDS)
        records = next(rrset for rrset in answer.answer if rrset.rdtype == dns.rdatatype.A)
        self._addresses = [record.address for record in records]
        self._until = time.monotonic() + records.ttl
        return rng.choice(self._addresses), "dns"


@dataclass
class Audience:
    """All viewers.

    Args:
        pool: name of the pool.
        dns_ports: of the servers that a resolver asks.
        routes: URLs that a router answers with the node for a key, which is put behind them.
        ports: of the media servers, by address.

    Attributes:
        sessions: those that began, in their order.
        failed: a line for each that failed.
        open: how many there are now, by address.
        waited_for: sessions that were there when their node was drained.
    """

    pool: str
    dns_ports: Sequence[int]
    routes: Sequence[str]
    ports: Mapping[str, int]
    sessions: list[Session] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    open: Counter[str] = field(default_factory=Counter)
    waited_for: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def watching(self) -> Iterator[Audience]:
        """Have them come and go for the length of a block; the last ones are waited for."""
        thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    def go_on(self, sessions: int = 30) -> None:
        """Wait until so many more sessions have begun."""
        enough = len(self.sessions) + sessions
        wait_until(lambda: len(self.sessions) >= enough or bool(self.failed), "sessions begin")

    def since(self, instant: float, address: str, *ways: str) -> list[Session]:
        """Return the sessions with a node that were chosen after an instant."""
        return [each for each in self.sessions if each.began > instant and each.address == address and each.way in ways]

    async def _run(self) -> None:
        resolver = _Resolver(self.pool, self.dns_ports)
        async with aiohttp.ClientSession() as web:
            await asyncio.gather(*(self._view(number, resolver, web) for number in range(VIEWERS)))

    async def _view(self, number: int, resolver: _Resolver, web: aiohttp.ClientSession) -> None:
        rng = random.Random(number)
        while not self._ended.is_set():
            await self._one_session(number, rng, resolver, web)
            await asyncio.sleep(BREATH_SECONDS)

    async def _one_session(
        self, number: int, rng: random.Random, resolver: _Resolver, web: aiohttp.ClientSession
    ) -> None:
        what = "found no node"
        try:
            async with asyncio.timeout(MOST_SECONDS + 3 * PATIENCE_SECONDS):
                began = time.monotonic()
                if number % 2:
                    address, way = await resolver.address(rng)
                else:
                    address, way = await self._routed(rng, web), "router"
                session = Session(way, address, began)
                what = f"with {address}, found by {way},"
                await self._watch(session, rng)
        except Exception as error:  # noqa: BLE001 - whatever a viewer sees is what counts
            self.failed.append(f"a session {what} failed: {type(error).__name__}: {error}")

    async def _routed(self, rng: random.Random, web: aiohttp.ClientSession) -> str:
        route = rng.choice(self.routes)
        async with web.get(f"{route}{rng.getrandbits(64):x}") as answer:
            answer.raise_for_status()
            document = await answer.json()
        address: str = document["addresses"][0]
        return address

    async def _watch(self, session: Session, rng: random.Random) -> None:
        reader, writer = await asyncio.open_connection(session.address, self.ports[session.address])
        self.sessions.append(session)
        self.open[session.address] += 1
        try:
            end = time.monotonic() + rng.uniform(LEAST_SECONDS, MOST_SECONDS)
            while time.monotonic() < end:
                writer.write(b"x")
                if await reader.read(1) != b"x":
                    raise ConnectionError("the server has closed it")
                await asyncio.sleep(BREATH_SECONDS)
        finally:
            self.open[session.address] -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
