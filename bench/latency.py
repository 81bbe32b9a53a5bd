"""From an accepted drain to answers without the node: dnsd on SQLite and on Redis, and gdnsd's admin_state beside it.

A client asks for the node's pool again and again, from several ports so that every worker is asked, and a drain is over
when none of them gets the node any more.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import dns.message

from bench import http
from bench.context import Context
from bench.dnsperf import percentile
from bench.fleet import choose_fleet, serving
from bench.fleets import BenchFleet
from bench.owned import find_program
from bench.report import Section, Table
from bench.servers import gdnsd
from tests.support.redis import redis_server

TITLE = "From a drain to answers without the node"

DRAINS, QUICK_DRAINS = 200, 10

# gdnsd takes seconds for each.
GDNSD_DRAINS, QUICK_GDNSD_DRAINS = 8, 2

# As many as a machine of two CPUs has by default.
WORKERS = 2

# Ports that are asked from: that all of them lead to one of two workers happens once in 128 runs.
PORTS = 8

# Between two rounds of questions. Unit: seconds.
PAUSE_SECONDS = 0.0005

# How long a node may stay in answers before the measurement gives up. Unit: seconds.
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Drained:
    """How long one drain took.

    Args:
        accepted: seconds from the instant that the change bears, which is before it is written, to the last answer.
        asked: seconds from the moment that the order was sent.
    """

    accepted: float
    asked: float


class Watch:
    """A client that asks one server from several ports."""

    def __init__(self, fleet: BenchFleet, port: int) -> None:
        self._fleet = fleet
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(PORTS)]
        for sock in self._sockets:
            sock.settimeout(1)
            sock.connect(("127.0.0.1", port))

    def close(self) -> None:
        """Close the ports."""
        for sock in self._sockets:
            sock.close()

    def has(self, number: int, query: bytes) -> bool:
        """Say whether any port's answer has a node's address."""
        for sock in self._sockets:
            sock.send(query)
        answers = [sock.recv(4096) for sock in self._sockets]
        address = socket.inet_aton(self._fleet.v4(number))
        return any(address in answer for answer in answers)

    def until_gone(self, number: int, pause: Callable[[], object]) -> float:
        """Ask until no answer has a node, and return when that was: seconds since the epoch."""
        query = self.query(number)
        until = time.time() + PATIENCE_SECONDS
        while self.has(number, query):
            if time.time() > until:
                raise SystemExit(f"{self._fleet.node(number)} stays in answers")
            pause()
        return time.time()

    def query(self, number: int) -> bytes:
        """Return the question for a node's pool."""
        return dns.message.make_query(self._fleet.pool_name(number % self._fleet.pools), "A", use_edns=0).to_wire()


class Orders:
    """A connection to the admin interface over which nodes are drained."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._buffer = bytearray()
        self._answer: tuple[int, bytes] | None = None

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def send(self, node: str) -> None:
        """Order to drain a node."""
        self._answer = None
        self._socket.sendall(http.drain(node, self._port))

    def look(self, seconds: float) -> None:
        """Take in what has come of the answer, and wait for more so long."""
        if select.select([self._socket], [], [], 0 if self._answer else seconds)[0]:
            self._buffer += self._socket.recv(65536)
            self._answer = http.take_response(self._buffer)
        elif self._answer:
            time.sleep(seconds)

    def accepted_at(self) -> float:
        """Wait for the answer, and return the instant that the drain bears: seconds since the epoch."""
        while self._answer is None:
            self.look(PATIENCE_SECONDS)
        status, body = self._answer
        if status not in (200, 202):
            raise SystemExit(f"a drain was answered with {status}: {body!r}")
        return datetime.fromisoformat(json.loads(body)["drain"]["created_at"]).timestamp()


def measure_dnsd(context: Context, fleet: BenchFleet, store: str) -> list[Drained]:
    """Drain one node after another, of different pools."""
    found = []
    with serving(context, fleet, store=store, workers=WORKERS) as server, contextlib.ExitStack() as stack:
        watch, orders = Watch(fleet, server.port), Orders(server.admin_port)
        stack.callback(watch.close)
        stack.callback(orders.close)
        for number in range(QUICK_DRAINS if context.quick else DRAINS):
            if not watch.has(number, watch.query(number)):
                raise SystemExit(f"{fleet.node(number)} is in no answer before it is drained")
            asked = time.time()
            orders.send(fleet.node(number))
            gone = watch.until_gone(number, lambda: orders.look(PAUSE_SECONDS))
            found.append(Drained(gone - orders.accepted_at(), gone - asked))
    return found


def measure_gdnsd(context: Context, fleet: BenchFleet) -> list[Drained]:
    """Take one address after another out by gdnsd's admin_state, as its manual has it."""
    found = []
    with context.folder() as folder, contextlib.ExitStack() as stack:
        server = gdnsd(folder, fleet)
        stack.callback(server.stop)
        server.start(cores=context.cores.all)
        watch = Watch(fleet, server.port)
        stack.callback(watch.close)
        state, lines = folder / "state" / "admin_state", ""
        for number in range(QUICK_GDNSD_DRAINS if context.quick else GDNSD_DRAINS):
            lines += f"{fleet.v4(number)}/up => DOWN\n"
            written = state.with_suffix(".new")
            written.write_text(lines)
            asked = time.time()
            written.replace(state)
            gone = watch.until_gone(number, lambda: time.sleep(PAUSE_SECONDS))
            found.append(Drained(gone - asked, gone - asked))
    return found


@contextlib.contextmanager
def _store(context: Context, kind: str) -> Iterator[str]:
    """Give the URL of an empty store; a Redis keeps its data as docs/redis.md has it."""
    if kind == "SQLite":
        yield "sqlite://./state.db"
    else:
        options = ("--appendfsync", "everysec")
        with context.folder() as folder, redis_server(folder / "redis", append_only=True, options=options) as redis:
            yield f"redis://127.0.0.1:{redis.port}/0"


def run(context: Context) -> Section:
    """Measure both stores, and gdnsd where it is installed."""
    fleet = choose_fleet(context)
    rows = []
    for kind, program in (("SQLite", None), ("Redis", "redis-server")):
        name = f"dnsd, {kind}"
        if program is not None and find_program(program) is None:
            rows.append([name, "not installed", *[""] * 6])
            continue
        with _store(context, kind) as url:
            rows.append(row(name, measure_dnsd(context, fleet, url)))
        context.say(" ".join(rows[-1]))
    if find_program("gdnsd") is None:
        rows.append(["gdnsd, admin_state", "not installed", *[""] * 6])
    else:
        rows.append(row("gdnsd, admin_state", measure_gdnsd(context, fleet)))
    return Section(TITLE, [intro(fleet), Table(HEADINGS, rows), NOTE])


HEADINGS = ["", "drains", "p50, ms", "p99, ms", "most, ms", "p50 from the order, ms", "p99", "most"]

NOTE = (
    "The first figures count from the instant that an accepted drain bears, in whole milliseconds and taken before it "
    "is written to the store; the last three from the moment that the HTTP request is sent. gdnsd has one instant: "
    "that its file is replaced. The target for dnsd is a p99 of at most 20 ms."
)


def intro(fleet: BenchFleet) -> str:
    """Say how it was measured."""
    return (
        f"{fleet.nodes:,} nodes in {fleet.pools:,} pools; {WORKERS} workers of dnsd, one thread of gdnsd. Nodes of "
        f"different pools are drained one after another, while a client asks for the pool from {PORTS} ports every "
        f"{PAUSE_SECONDS * 1000:g} ms; time ends when no port gets the node's address. Redis has an append-only file "
        "that it flushes every second."
    )


def row(name: str, drains: list[Drained]) -> list[str]:
    """Make a line of the table."""
    cells = [name, str(len(drains))]
    for values in (sorted(one.accepted for one in drains), sorted(one.asked for one in drains)):
        cells += [f"{1000 * value:,.1f}" for value in (percentile(values, 0.5), percentile(values, 0.99), values[-1])]
    return cells
