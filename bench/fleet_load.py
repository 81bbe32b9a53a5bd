"""What a live fleet sends to the admin interface: reports of its nodes, and drains, at a steady pace.

A process of its own, so that it can be kept off the CPU that is measured: `python -m bench.fleet_load --help`. It has a
few connections that stay open, makes requests beforehand, and looks for answers as seldom as it sends, so that it takes
little from those with whom it shares a CPU; only the answer to an order to drain is waited for. It drains one node
after another, and releases them all at its end; then it prints one line of JSON on what was answered. SIGTERM is its
end too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench import http
from bench.fleets import BenchFleet

CONNECTIONS = 32

# How often it sends; what is due by then goes out together. Unit: seconds.
TICK_SECONDS = 0.01

# How long the last answers may take. Unit: seconds.
LAST_SECONDS = 20.0

READ_SIZE = 65536


@dataclass(slots=True)
class Seen:
    """What was answered.

    Args:
        statuses: HTTP status → answers.
        drain_seconds: from sending an order to its answer, for each.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    drain_seconds: list[float] = field(default_factory=list)


class Connection:
    """A connection that stays open; its requests are answered in the order that they were sent."""

    def __init__(self, port: int, seen: Seen) -> None:
        self._seen = seen
        self._buffer = bytearray()
        self._pending: deque[float | None] = deque()
        self.sock = socket.create_connection(("127.0.0.1", port), LAST_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def is_waiting(self) -> bool:
        """Say whether an answer is to come."""
        return bool(self._pending)

    @property
    def is_timed(self) -> bool:
        """Say whether the answer to a request that is timed is to come."""
        return any(began is not None for began in self._pending)

    def send(self, request: bytes, *, timed: bool = False) -> None:
        """Send a request; one that is timed is a drain's."""
        self._pending.append(time.monotonic() if timed else None)
        self.sock.sendall(request)

    def receive(self) -> None:
        """Count the answers that are there; where nothing is to be read, it would wait."""
        data = self.sock.recv(READ_SIZE)
        if not data:
            raise SystemExit(f"the server ended a connection with {len(self._pending)} answers to come")
        self._buffer += data
        while self._pending and (found := http.take_response(self._buffer)) is not None:
            began = self._pending.popleft()
            self._seen.statuses[found[0]] += 1
            if began is not None:
                self._seen.drain_seconds.append(time.monotonic() - began)


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
        self._turn = 0
        self.seen = Seen()
        self._connections = [Connection(port, self.seen) for _ in range(CONNECTIONS)]
        self.ended = False

    def end(self, *_: object) -> None:
        """Send no more; the handler of a signal."""
        self.ended = True

    def close(self) -> None:
        """End the connections."""
        for connection in self._connections:
            connection.sock.close()

    def report_all(self) -> None:
        """Have every node report once, as fast as it goes."""
        for number in range(self._fleet.nodes):
            self._report()
            if number % CONNECTIONS == 0:
                self._settle()
        self._settle()

    def keep_up(self, reports_per_second: float, drains_per_second: float, seconds: float) -> None:
        """Send reports and drains at their pace, until the time is over or somebody ends it."""
        began, reports = time.monotonic(), 0
        while not self.ended and (passed := time.monotonic() - began) < seconds:
            _receive_from([connection for connection in self._connections if connection.is_waiting], seconds=0)
            while reports < passed * reports_per_second:
                self._report()
                reports += 1
            while self._drains < passed * drains_per_second:
                self._take().send(http.drain(self._drained(self._drains), self._port), timed=True)
                self._drains += 1
            self._rest(until=began + passed + TICK_SECONDS)
        self._settle()

    def release(self) -> None:
        """Release what was drained."""
        for number in range(self._drains):
            self._take().send(http.undrain(self._drained(number), self._port))
            self._settle()

    def _drained(self, number: int) -> str:
        return self._fleet.node((self._first + number) % self._fleet.nodes)

    def _report(self) -> None:
        before, after = self._reports[self._next_report]
        self._next_report = (self._next_report + 1) % self._fleet.nodes
        self._take().send(before + http.sequence() + after)

    def _take(self) -> Connection:
        self._turn = (self._turn + 1) % CONNECTIONS
        return self._connections[self._turn]

    def _rest(self, *, until: float) -> None:
        """Let time pass; answers that are timed are received when they come."""
        while (left := until - time.monotonic()) > 0:
            timed = [connection for connection in self._connections if connection.is_timed]
            if timed:
                _receive_from(timed, seconds=left)
            else:
                time.sleep(left)

    def _settle(self) -> None:
        """Wait until everything is answered."""
        deadline = time.monotonic() + LAST_SECONDS
        while waiting := [connection for connection in self._connections if connection.is_waiting]:
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(waiting)} connections have had no answer for {LAST_SECONDS:g} s")
            _receive_from(waiting, seconds=LAST_SECONDS)


def _receive_from(connections: Iterable[Connection], *, seconds: float) -> None:
    """Receive from the connections that have something, once one has, or so many seconds later."""
    by_socket = {connection.sock: connection for connection in connections}
    for sock in select.select(by_socket, (), (), seconds)[0]:
        by_socket[sock].receive()


def run(given: argparse.Namespace) -> None:
    """Send what is asked for, and print what was answered while SIGTERM is still taken as its end."""
    load = Load(BenchFleet(given.nodes, given.pools), given.port, first=given.first)
    signal.signal(signal.SIGTERM, load.end)
    with contextlib.closing(load):
        if given.all:
            load.report_all()
        print("begun", flush=True)
        began = time.monotonic()
        load.keep_up(given.reports, given.drains, given.seconds)
        seconds, answers = time.monotonic() - began, dict(load.seen.statuses)
        load.release()
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
    run(parser.parse_args())


if __name__ == "__main__":
    main()
