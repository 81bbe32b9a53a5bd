"""Drains while the server is asked: no query lost, no answer stale after an acknowledgement, and how fast that is."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import dns.message
import pytest

from tests.support.dnsperf import asking, figures
from tests.support.fleets import addresses_in
from tests.support.servers import Server, answer_of, median_and_p99, serving

pytestmark = pytest.mark.alone

EDGE = "edge.example.org."
WORKERS = 2
NODES = {f"edge-{number}": ([f"192.0.2.{100 + number}"], ["edge"], "eu") for number in range(1, 13)}
CHANGES_PER_SECOND = 30
SECONDS = 8
OPERATORS = 4

# Each operator drains and undrains a node so often.
TURNS = SECONDS * CHANGES_PER_SECOND // OPERATORS // 2

# Questions behind each acknowledged drain, each from a port of its own. The kernel spreads ports over the workers by a
# hash: that 16 of them all miss one of two workers has a chance of 1 in 32,768.
CHECKS = 16


@dataclass
class Tally:
    """What the operators did and saw."""

    changes: int = 0
    checked: int = 0
    stale: list[str] = field(default_factory=list)
    lag_ms: list[float] = field(default_factory=list)
    round_trip_ms: list[float] = field(default_factory=list)


async def change(session: aiohttp.ClientSession, method: str, node: str, tally: Tally) -> None:
    """Place or release a drain and wait until every worker has applied it."""
    body = {"reason": "load", "roles": ["edge"]} if method == "PUT" else None
    began = time.monotonic()
    path = f"/v1/nodes/{node}/drain?wait=applied&timeout=10"
    async with session.request(method, path, json=body) as response:
        outcome = await response.json(content_type=None)
    assert response.status == 200, outcome
    assert outcome["changed"] is True
    assert outcome["pending"] == []
    tally.round_trip_ms.append((time.monotonic() - began) * 1000)
    tally.lag_ms += [each["lag_ms"] for each in outcome["applied"]]
    tally.changes += 1


async def check(server: Server, node: str, tally: Tally) -> None:
    """Ask from many ports; no answer may name the node."""
    packet = dns.message.make_query(EDGE, "A").to_wire()
    answers = await asyncio.gather(*(answer_of(server.dns_port, packet) for _ in range(CHECKS)))
    for answer in answers:
        tally.checked += 1
        if NODES[node][0][0] in addresses_in(dns.message.from_wire(answer)):
            tally.stale.append(node)


async def operate(server: Server, nodes: Sequence[str], tally: Tally) -> None:
    """Drain and undrain one's own nodes in turn, at this operator's share of the rate."""
    pause = OPERATORS / CHANGES_PER_SECOND
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(server.url) as session:
        due = loop.time()
        for turn in range(TURNS):
            node = nodes[turn % len(nodes)]
            await change(session, "PUT", node, tally)
            await check(server, node, tally)
            due += pause
            await asyncio.sleep(due - loop.time())
            await change(session, "DELETE", node, tally)
            due += pause
            await asyncio.sleep(due - loop.time())


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Server]]:
    """A server with each kind of store that needs no other program."""
    with contextlib.ExitStack() as stack:
        found = []
        for store in ("memory", "sqlite"):
            folder = tmp_path / store
            folder.mkdir()
            found.append(stack.enter_context(serving(folder, store=store, workers=WORKERS, fleet=NODES)))
        yield found


async def test_30_changes_a_second_lose_no_query_and_leave_no_stale_answer(
    servers: list[Server], record_property: Callable[[str, object], None]
) -> None:
    """Dnsperf asks all the while: nothing lost, no SERVFAIL; after each acknowledgement no worker names the node.

    Both servers go through this at the same time.
    """
    told = await asyncio.gather(*(go_through(server) for server in servers))
    record_property("figure", "; ".join(told))


async def go_through(server: Server) -> str:
    """Let operators change a server under load; return the figures.

    The server does not tell which worker answered. That both did rests on the number of ports that ask, and on both
    being alive, and the same ones, from the beginning to the end.
    """
    workers = server.workers()
    assert len(workers) == WORKERS
    tally = Tally()
    names = list(NODES)
    began = time.monotonic()
    with asking(server, server.folder, seconds=SECONDS + 1, rate=1500) as load:
        await asyncio.gather(*(operate(server, names[index::OPERATORS], tally) for index in range(OPERATORS)))
        took = time.monotonic() - began
        output, _ = await asyncio.to_thread(load.communicate, timeout=30)
    counted = figures(output)
    p50, p99 = median_and_p99(tally.lag_ms)
    trip50, trip99 = median_and_p99(tally.round_trip_ms)
    assert tally.changes == 2 * TURNS * OPERATORS
    assert tally.checked == CHECKS * TURNS * OPERATORS
    assert tally.stale == []
    assert server.workers() == workers
    assert counted["lost"] == 0
    assert set(counted) == {"sent", "completed", "lost", "NOERROR"}
    assert counted["NOERROR"] == counted["sent"]
    assert "Traceback" not in server.said()
    return (
        f"{server.folder.name}: {tally.changes} changes in {took:.1f} s ({tally.changes / took:.0f}/s), "
        f"accepted → applied by all {WORKERS} workers: p50 {p50:.2f} ms, p99 {p99:.2f} ms; "
        f"request → acknowledged: p50 {trip50:.1f} ms, p99 {trip99:.1f} ms; "
        f"{tally.checked} answers checked, {len(tally.stale)} stale; {counted}"
    )
