"""Several servers on one Redis: their start, what operators do through them, and somebody who judges every answer."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import math
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode

from tests.support.fleets import addresses_in
from tests.support.redis import RedisServer
from tests.support.servers import PATIENCE_SECONDS, Server, answer_of, wait_until

POOL = "edge.example.org"

# As many as one answer of the pool has room for, so that each names every serving node.
NODES = {f"edge-{number}": ([f"192.0.2.{100 + number}"], ["edge"], "eu") for number in range(1, 9)}

# Between two questions to one server. Unit: seconds.
ASK_SECONDS = 0.01

DRAINS_KEY = "{dnsd}:drains"


def address_of(node: str) -> str:
    """Return the address of a node of `NODES`."""
    return NODES[node][0][0]


# --- servers ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def redis_fleet(folder: Path, urls: str | Sequence[str], *, count: int = 2, **options: Any) -> Iterator[list[Server]]:
    """Run servers `ns1`, `ns2`… for the length of a test, which know of each other; nothing is left afterwards.

    Args:
        urls: of the store; one for all of them or one each.
        options: see `Server`; each has one worker where they do not say otherwise.
    """
    given = [urls] * count if isinstance(urls, str) else list(urls)
    servers: list[Server] = []
    try:
        for number, url in enumerate(given, 1):
            own = folder / f"ns{number}"
            own.mkdir(parents=True)
            servers.append(Server(own, id=f"ns{number}", store=url, **{"workers": 1, "fleet": NODES, **options}))
        start_all(servers)
        yield servers
    finally:
        for server in servers:
            server.close()


def start_all(servers: Sequence[Server]) -> None:
    """Start servers side by side, and wait until each lists all of them."""
    for server in servers:
        server.start(ready=False)
    for server in servers:
        wait_until(server.is_ready, "a server is ready")
    wait_until(lambda: all(knows_all(server, len(servers)) for server in servers), "each server knows of all")


def knows_all(server: Server, count: int) -> bool:
    """Say whether a server lists so many live consumers that are not behind."""
    items: list[dict[str, Any]] = call(server, "GET", "/v1/consumers").document["items"]
    return len([each for each in items if each["live"] and not each["behind"]]) == count


# --- requests ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whether it was good news or not, and how long that took."""

    status: int
    kind: str
    document: Any
    seconds: float


def call(server: Server, method: str, path: str, body: object = None) -> Reply:
    """Send a request to a server's admin interface."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, data=data, method=method, headers=headers)
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            status, kind, text = response.status, response.headers.get_content_type(), response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, kind, text = error.code, error.headers.get_content_type(), error.read()
    return Reply(status, kind, json.loads(text), time.monotonic() - began)


def drain(server: Server, node: str, *, query: str = "?wait=applied&timeout=10", **body: object) -> Reply:
    """Ask for a drain of a node, by default for as long as the test lasts."""
    return call(server, "PUT", f"/v1/nodes/{node}/drain{query}", {"reason": "a test", "holder": "ops", **body})


def undrain(server: Server, node: str, *, query: str = "?wait=applied&timeout=10") -> Reply:
    """Ask for the release of what `drain` has placed."""
    return call(server, "DELETE", f"/v1/nodes/{node}/drain{query}&holder=ops")


def by_all(reply: Reply, servers: Sequence[Server]) -> bool:
    """Say whether a reply acknowledges a change that each of these servers has applied: none was silent too long."""
    applied = {each["consumer"] for each in reply.document.get("applied", ())}
    return reply.status == 200 and applied >= {server.folder.name for server in servers}


def listed(server: Server) -> set[str]:
    """Return the nodes whose drains by `ops` a server lists."""
    items = call(server, "GET", "/v1/drains").document["items"]
    return {each["node"] for each in items if each["holder"] == "ops"}


def in_redis(redis: RedisServer) -> set[str]:
    """Return the nodes whose drains by `ops` stand in a Redis."""
    keys = [line.split("/") for line in redis.cli("hkeys", DRAINS_KEY).splitlines()]
    return {node for node, _, holder in keys if holder == "ops"}


def problems(server: Server) -> list[str]:
    """Return what a server says is wrong with it."""
    found: list[str] = call(server, "GET", "/readyz").document["problems"]
    return found


def metric(server: Server, name: str) -> float:
    """Return the value of a metric without labels."""
    lines = server.get("/metrics").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def outages_told(server: Server) -> tuple[int, int]:
    """Return how often the log has told of an outage of the store, and how often of its end."""
    said = server.said()
    return said.count("the store is unavailable"), said.count("the store is back")


# --- answers ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Asker:
    """Asks every server all the while, in a thread of its own, and holds each answer against what was ordered.

    Args:
        timeout_seconds: how long an answer may take.

    Attributes:
        wrong: a line for each answer that named a drained node, had no address, or was no success.
        lost: questions that nobody answered.
    """

    servers: Sequence[Server]
    timeout_seconds: float = 5.0
    asked: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)
    _orders: dict[str, tuple[object, float]] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def drained(self, node: str, *, until: float = math.inf) -> None:
        """Take note that no answer may name a node, from now on until an instant."""
        self._orders[node] = object(), until

    def released(self, node: str) -> None:
        """Take note that answers may name a node, as its drain is about to be released."""
        self._orders.pop(node, None)

    @property
    def answered(self) -> int:
        """How many questions had an answer."""
        return self.asked - self.lost

    def go_on(self, questions: int = 100) -> None:
        """Wait until so many more questions have been asked."""
        enough = self.asked + questions
        wait_until(lambda: self.asked >= enough, "questions are asked")

    def run(self) -> None:
        """Ask until the end."""
        asyncio.run(self._run())

    def end(self) -> None:
        """Have `run` return."""
        self._ended.set()

    async def _run(self) -> None:
        await asyncio.gather(*(self._ask_on(server) for server in self.servers))

    async def _ask_on(self, server: Server) -> None:
        nodes: Iterator[str] = iter(())
        while not self._ended.is_set():
            await self._ask_pool(server)
            node = next(nodes, None)
            if node is None:
                nodes = iter(NODES)
            else:
                await self._ask_node(server, node)
            await asyncio.sleep(ASK_SECONDS)

    async def _ask_pool(self, server: Server) -> None:
        before = dict(self._orders)
        named = await self._named(server, POOL)
        if named is None:
            return
        now = time.time()
        # An order that was there when the question went out, and still is when the answer is in.
        out = {node for node, order in before.items() if self._orders.get(node) is order and now < order[1]}
        stale = sorted(node for node in out if address_of(node) in named)
        if stale or not named <= {address_of(node) for node in NODES}:
            self.wrong.append(f"{now:.3f} {server.folder.name}: {named} although {sorted(out)} are drained")

    async def _ask_node(self, server: Server, node: str) -> None:
        name = f"{node}.nodes.example.org"
        named = await self._named(server, name)
        if named is not None and named != {address_of(node)}:
            self.wrong.append(f"{server.folder.name}, {name}: {named}")

    async def _named(self, server: Server, name: str) -> set[str] | None:
        """Return the addresses of an answer; None: there is none, or one that is wrong by itself."""
        self.asked += 1
        try:
            answer = await answer_of(server.dns_port, _query(name), timeout_seconds=self.timeout_seconds)
        except OSError:  # a timeout is one, too
            self.lost += 1
            return None
        rcode, named = _read(answer)
        if rcode != dns.rcode.NOERROR or not named:
            self.wrong.append(f"{server.folder.name}, {name}: {dns.rcode.to_text(rcode)}, {set(named)}")
            return None
        return set(named)

    def figure(self) -> str:
        """Return the counts as a person reads them."""
        return f"{self.asked} answers judged, {len(self.wrong)} wrong, {self.lost} lost"


@functools.cache
def _query(name: str) -> bytes:
    return dns.message.make_query(name, "A").to_wire()


@functools.lru_cache(4096)
def _read(answer: bytes) -> tuple[dns.rcode.Rcode, frozenset[str]]:
    """Return the RCODE and the addresses; the same answers come again and again."""
    message = dns.message.from_wire(answer)
    return message.rcode(), frozenset(addresses_in(message))


@contextlib.contextmanager
def judging(servers: Sequence[Server], *, may_be_away: bool = False) -> Iterator[Asker]:
    """Ask servers for as long as the block takes; at its end no answer may have been wrong.

    Args:
        may_be_away: questions may stay without an answer, too.
    """
    asker = Asker(servers, timeout_seconds=0.5 if may_be_away else 5.0)
    thread = threading.Thread(target=asker.run, name="asker")
    thread.start()
    try:
        yield asker
    finally:
        asker.end()
        thread.join()
    assert asker.wrong == [], asker.figure() + "".join(f"\n{line}" for line in asker.wrong[:10])
    assert asker.lost == 0 or may_be_away
    assert asker.asked > 0
