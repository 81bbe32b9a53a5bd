"""Three servers on one Redis: drains through any of them, acknowledged when all have let go of the node."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import dns.message
import dns.rcode
import pytest

from tests.support.dnsperf import asking, figures
from tests.support.redis import redis_server
from tests.support.redis_fleet import POOL, redis_fleet
from tests.support.servers import Server, answer_of, median_and_p99

pytestmark = pytest.mark.alone

SERVERS, WORKERS = 3, 2
NODES = {f"edge-{number}": ([f"192.0.2.{100 + number}"], ["edge"], "eu") for number in range(1, 13)}
CHANGES = 500
CHANGES_PER_SECOND = 30
OPERATORS = 5
QUERIES_PER_SECOND = 300

# Each operator drains and undrains a node so often.
TURNS = CHANGES // OPERATORS // 2
SECONDS = CHANGES // CHANGES_PER_SECOND

# Questions to each server behind each acknowledged drain, each from a port of its own. The kernel spreads ports over
# the workers by a hash: that 16 of them all miss one of two workers has a chance of 1 in 32,768.
CHECKS = 16

# An undrained node is named by every answer of a server in so many at the most: eight of twelve are.
LOOKS = 100


@dataclass
class Tally:
    """What the operators did and saw."""

    rng: random.Random
    changes: int = 0
    checked: int = 0
    stale: list[str] = field(default_factory=list)
    lag_ms: list[float] = field(default_factory=list)
    round_trip_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Way:
    """A server, and a session with its admin interface."""

    server: Server
    session: aiohttp.ClientSession


async def change(ways: Sequence[Way], method: str, node: str, tally: Tally) -> None:
    """Place or release a drain through any server, and wait until every worker of each has applied it."""
    body = {"reason": "fleet", "roles": ["edge"]} if method == "PUT" else None
    way = tally.rng.choice(ways)
    began = time.monotonic()
    path = f"/v1/nodes/{node}/drain?wait=applied&timeout=10"
    async with way.session.request(method, path, json=body) as response:
        outcome = await response.json(content_type=None)
    assert response.status == 200, outcome
    assert outcome["changed"] is True
    assert {each["consumer"] for each in outcome["applied"]} == {each.server.folder.name for each in ways}
    tally.round_trip_ms.append((time.monotonic() - began) * 1000)
    tally.lag_ms.append(max(each["lag_ms"] for each in outcome["applied"]))
    tally.changes += 1


def names(answer: bytes, node: str) -> bool:
    """Say whether an answer names a node; one that is empty or no success is a fault by itself.

    It reads what it must of the wire's form alone: what the test takes of the machine, the servers lack.
    """
    assert answer[3] & 0x0F == dns.rcode.NOERROR
    assert int.from_bytes(answer[6:8]) > 0, "no answer"
    return ip_address(NODES[node][0][0]).packed in answer


async def check_gone(ways: Sequence[Way], node: str, tally: Tally) -> None:
    """Ask each server from many ports; no answer may name the node."""
    packet = dns.message.make_query(POOL, "A").to_wire()
    for way in ways:
        answers = await asyncio.gather(*(answer_of(way.server.dns_port, packet) for _ in range(CHECKS)))
        tally.checked += len(answers)
        tally.stale += [f"{way.server.folder.name} names {node}" for answer in answers if names(answer, node)]


async def check_back(ways: Sequence[Way], node: str) -> None:
    """Ask each server until it names the node, which few answers leave out."""
    packet = dns.message.make_query(POOL, "A").to_wire()
    for way in ways:
        for look in itertools.count(1):
            if names(await answer_of(way.server.dns_port, packet), node):
                break
            assert look < LOOKS, f"{way.server.folder.name} does not name {node}"


async def operate(ways: Sequence[Way], nodes: Sequence[str], tally: Tally, *, delay: float) -> None:
    """Drain and undrain one's own nodes in turn, at this operator's share of the rate."""
    pause = OPERATORS / CHANGES_PER_SECOND
    loop = asyncio.get_running_loop()
    due = loop.time() + delay
    for turn in range(TURNS):
        node = nodes[turn % len(nodes)]
        await asyncio.sleep(due - loop.time())
        await change(ways, "PUT", node, tally)
        await check_gone(ways, node, tally)
        due += pause
        await asyncio.sleep(due - loop.time())
        await change(ways, "DELETE", node, tally)
        await check_back(ways, node)
        due += pause


async def test_500_changes_through_any_of_three_servers_leave_no_stale_answer(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Dnsperf asks all servers meanwhile: nothing lost; after each acknowledgement no server names the node.

    No server tells which worker answered. That both did rests on the number of ports that ask, and on both being
    alive, and the same ones, from the beginning to the end.
    """
    seed = random.SystemRandom().randrange(2**32)
    tally = Tally(random.Random(seed))
    with (
        redis_server(tmp_path / "redis") as redis,
        redis_fleet(tmp_path, redis.url, count=SERVERS, workers=WORKERS, fleet=NODES) as servers,
    ):
        workers = [server.workers() for server in servers]
        assert [len(each) for each in workers] == [WORKERS] * SERVERS
        began = time.monotonic()
        async with contextlib.AsyncExitStack() as stack:
            loads = [
                stack.enter_context(asking(server, server.folder, seconds=SECONDS + 1, rate=QUERIES_PER_SECOND))
                for server in servers
            ]
            ways = [
                Way(server, await stack.enter_async_context(aiohttp.ClientSession(server.url))) for server in servers
            ]
            shares = [list(NODES)[index::OPERATORS] for index in range(OPERATORS)]
            await asyncio.gather(
                *(operate(ways, share, tally, delay=n / CHANGES_PER_SECOND) for n, share in enumerate(shares))
            )
            took = time.monotonic() - began
            outputs = [(await asyncio.to_thread(load.communicate, timeout=60))[0] for load in loads]
        counted = [figures(output) for output in outputs]
        p50, p99 = median_and_p99(tally.lag_ms)
        trip50, trip99 = median_and_p99(tally.round_trip_ms)
        record_property(
            "figure",
            f"seed {seed}; {tally.changes} changes in {took:.1f} s through {SERVERS} servers, accepted → applied by "
            f"all {SERVERS * WORKERS} workers: p50 {p50:.2f} ms, p99 {p99:.2f} ms; request → acknowledged: "
            f"p50 {trip50:.1f} ms, p99 {trip99:.1f} ms; {tally.checked} answers checked, {len(tally.stale)} stale; "
            f"queries: {sum(each['sent'] for each in counted)} sent, {sum(each['lost'] for each in counted)} lost",
        )
        assert tally.changes == CHANGES
        assert tally.checked == CHECKS * SERVERS * CHANGES // 2
        assert tally.stale == []
        assert [server.workers() for server in servers] == workers
        for each in counted:
            assert set(each) == {"sent", "completed", "lost", "NOERROR"}
            assert each["lost"] == 0
            assert each["NOERROR"] == each["sent"]
        for server in servers:
            assert "Traceback" not in server.said(), server.said()
