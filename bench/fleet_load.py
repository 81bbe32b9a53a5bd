"""What a live fleet sends to the admin interface: reports of its nodes, and drains, at a steady pace.

A process of its own, so that it can be kept off the CPU that is measured: `python -m bench.fleet_load --help`. It has a
few connections that stay open, and makes requests beforehand. It drains one node after another, and releases them all
at its end; then it prints one line of JSON on what was answered. SIGTERM is its end too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from bench import http
from bench.fleets import BenchFleet

CONNECTIONS = 32

# How often it sends; what is due by then goes out together. Unit: seconds.
TICK_SECONDS = 0.01

# How long the last answers may take. Unit: seconds.
LAST_SECONDS = 20.0


@dataclass(slots=True)
class Seen:
    """What was answered.

    Args:
        sent, statuses: requests; HTTP status → answers.
        drain_seconds: from sending an order to its answer, for each.
    """

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    drain_seconds: list[float] = field(default_factory=list)
    quiet: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def waiting(self) -> int:
        """Requests without an answer."""
        return self.sent - self.statuses.total()

    def note_sent(self) -> None:
        """Count a request."""
        self.sent += 1
        self.quiet.clear()

    def note_answer(self, status: int) -> None:
        """Count an answer; `quiet` is set where it was the last one."""
        self.statuses[status] += 1
        if not self.waiting:
            self.quiet.set()


class Connection(asyncio.Protocol):
    """A connection that stays open; its requests are answered in the order that they were sent."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._buffer = bytearray()
        self._pending: deque[float | None] = deque()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes, *, timed: bool = False) -> None:
        """Send a request; one that is timed is a drain's."""
        assert self._transport is not None
        self._seen.note_sent()
        self._pending.append(time.monotonic() if timed else None)
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Count the answers in it."""
        self._buffer += data
        while self._pending and (found := http.take_response(self._buffer)) is not None:
            began = self._pending.popleft()
            self._seen.note_answer(found[0])
            if began is not None:
                self._seen.drain_seconds.append(time.monotonic() - began)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up where answers are still to come: they never will."""
        if self._pending:
            raise SystemExit(f"the server ended a connection with {len(self._pending)} answers to come: {exc}")

    def close(self) -> None:
        """End the connection."""
        self._pending.clear()
        if self._transport is not None:
            self._transport.close()


class Load:
    """Reports and drains of a fleet.

    Args:
        port: the admin interface's.
        first: the number of the first node to drain; the others follow.
    """

    def __init__(self, fleet: BenchFleet, port: int, *, first: int) -> None:
        self._fleet, self._port, self._first = fleet, port, first
        self._reports = [http.report(fleet.node(number), port) for number in range(fleet.nodes)]
        self._next_report = self._drains = 0
        self._connections: list[Connection] = []
        self._turn = 0
        self.seen = Seen()
        self.ended = asyncio.Event()

    async def connect(self) -> None:
        """Open the connections."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            made = await loop.create_connection(lambda: Connection(self.seen), "127.0.0.1", self._port)
            self._connections.append(made[1])

    def close(self) -> None:
        """End the connections."""
        for connection in self._connections:
            connection.close()

    async def report_all(self) -> None:
        """Have every node report once, as fast as it goes."""
        for number in range(self._fleet.nodes):
            self._report()
            if number % CONNECTIONS == 0:
                await self._settle()
        await self._settle()

    async def keep_up(self, reports_per_second: float, drains_per_second: float, seconds: float) -> None:
        """Send reports and drains at their pace, until the time is over or somebody ends it."""
        began, reports = time.monotonic(), 0
        while not self.ended.is_set() and (passed := time.monotonic() - began) < seconds:
            while reports < passed * reports_per_second:
                self._report()
                reports += 1
            while self._drains < passed * drains_per_second:
                self._take().send(http.drain(self._drained(self._drains), self._port), timed=True)
                self._drains += 1
            await asyncio.sleep(TICK_SECONDS)
        await self._settle()

    async def release(self) -> None:
        """Release what was drained."""
        for number in range(self._drains):
            self._take().send(http.undrain(self._drained(number), self._port))
            await self._settle()

    def _drained(self, number: int) -> str:
        return self._fleet.node((self._first + number) % self._fleet.nodes)

    def _report(self) -> None:
        before, after = self._reports[self._next_report]
        self._next_report = (self._next_report + 1) % self._fleet.nodes
        self._take().send(before + http.sequence() + after)

    def _take(self) -> Connection:
        self._turn = (self._turn + 1) % CONNECTIONS
        return self._connections[self._turn]

    async def _settle(self) -> None:
        if self.seen.waiting:
            await asyncio.wait_for(self.seen.quiet.wait(), LAST_SECONDS)


async def run(given: argparse.Namespace) -> None:
    """Send what is asked for, and print what was answered while SIGTERM is still taken as its end."""
    load = Load(BenchFleet(given.nodes, given.pools), given.port, first=given.first)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.ended.set)
    await load.connect()
    try:
        if given.all:
            await load.report_all()
        print("begun", flush=True)
        began = time.monotonic()
        await load.keep_up(given.reports, given.drains, given.seconds)
        seconds, answers = time.monotonic() - began, dict(load.seen.statuses)
        await load.release()
    finally:
        load.close()
    said = {"seconds": seconds, "statuses": answers, "drain_seconds": sorted(load.seen.drain_seconds)}
    print(json.dumps(said), flush=True)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="of the admin interface")
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--pools", type=int, required=True)
    parser.add_argument("--reports", type=float, default=0, help="per second")
    parser.add_argument("--drains", type=float, default=0, help="per second")
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first node to drain")
    parser.add_argument("--all", action="store_true", help="have every node report once before")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
