"""A Redis that is killed, hangs or is emptied: answers stay right, writes are refused at once, no drain is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.outages import Ledger, refused_at_once, refused_seconds, store_problem
from tests.support.redis import RedisServer, redis_server
from tests.support.redis_fleet import address_of, drain, in_redis, judging, metric, redis_fleet
from tests.support.servers import Server, wait_until

Record = Callable[[str, object], None]

# How long the Redis hangs. Unit: seconds.
PAUSE_SECONDS = 30.0

# Drained just before an outage, until the middle of it: before it ends there must be room for all to notice.
SHORT_NODE = "edge-3"
SHORT_SECONDS = 9.0
SHORT_SECONDS_WHERE_IT_HANGS = 12.0


def place_short_drain(ledger: Ledger, *, seconds: float) -> float:
    """Drain a node for a few seconds, and return the instant at which that ends."""
    reply = drain(ledger.servers[0], SHORT_NODE, expires_in=seconds, holder="short")
    assert reply.status == 200, reply
    ends_at = datetime.fromisoformat(reply.document["drain"]["expires_at"]).timestamp()
    ledger.asker.drained(SHORT_NODE, until=ends_at)
    return ends_at


def named_late_seconds(server: Server, ends_at: float) -> float:
    """Wait until a server names the node of the short drain again; return how long after its end that was."""
    wait_until(lambda: address_of(SHORT_NODE) in server.addresses("edge.example.org"), "it is named again")
    return time.time() - ends_at


def divergences(servers: Sequence[Server]) -> float:
    """Return how often servers have found that the store had lost writes."""
    return sum(metric(server, "dnsd_store_divergences_total") for server in servers)


def go_through(
    ledger: Ledger, redis: RedisServer, fail: Callable[[], None], mend: Callable[[], None], *, seconds: float
) -> str:
    """Let a store fail for longer than a drain lasts, and come back; return the figures.

    Args:
        seconds: how long the drain lasts.
    """
    ends_at = place_short_drain(ledger, seconds=seconds)
    fail()
    first = max(refused_seconds(server) for server in ledger.servers)
    ledger.noticed()
    slowest = refused_at_once(ledger.servers)
    assert time.time() < ends_at, "the outage was noticed too late to see the drain's end"
    late = max(named_late_seconds(server, ends_at) for server in ledger.servers)
    assert all(map(store_problem, ledger.servers))
    slowest = max(slowest, refused_at_once(ledger.servers))
    mend()
    took = ledger.converged()
    wait_until(lambda: f"{SHORT_NODE}/*/short" not in redis.cli("hkeys", "{dnsd}:drains"), "its end is written down")
    ledger.settled(redis)
    return (
        f"converged after {took:.2f} s; 0 of {len(ledger.acknowledged)} acknowledged drains lost; writes meanwhile: "
        f"503 after {first * 1000:.0f} ms, once the outage was known {slowest * 1000:.0f} ms at most; a drain that "
        f"ended meanwhile ended {late * 1000:.0f} ms late at most"
    )


@pytest.mark.parametrize("keeps", [True, False], ids=["keeps-its-data", "comes-back-empty"])
def test_a_redis_that_is_killed_and_restarted_costs_no_answer_and_no_drain(
    tmp_path: Path, keeps: bool, record_property: Record
) -> None:
    """After kill -9 it comes back with its data, or empty: then the servers write back what they know."""
    with (
        redis_server(tmp_path / "redis", append_only=keeps) as redis,
        redis_fleet(tmp_path, redis.url, count=3) as servers,
        judging(servers) as asker,
    ):
        ledger = Ledger(servers, asker)
        ledger.drain_two()
        figure = go_through(ledger, redis, redis.kill, redis.start, seconds=SHORT_SECONDS)
        record_property("figure", f"{asker.figure()}; {figure}")
        assert (divergences(servers) > 0) is not keeps


def test_a_redis_that_hangs_for_30_seconds_costs_no_answer_and_no_drain(
    tmp_path: Path, record_property: Record
) -> None:
    """It is stopped with SIGSTOP, so that connections stay and nothing is answered, and goes on after 30 s."""
    with (
        redis_server(tmp_path / "redis") as redis,
        redis_fleet(tmp_path, redis.url) as servers,
        judging(servers) as asker,
    ):
        ledger = Ledger(servers, asker)
        ledger.drain_two()
        stopped_at = time.monotonic()

        def resume() -> None:
            wait_until(lambda: time.monotonic() - stopped_at > PAUSE_SECONDS, "30 s are over", seconds=PAUSE_SECONDS)
            refused_at_once(servers)
            redis.resume()

        figure = go_through(ledger, redis, redis.pause, resume, seconds=SHORT_SECONDS_WHERE_IT_HANGS)
        record_property("figure", f"{asker.figure()}; {figure}")
        assert divergences(servers) == 0


def test_a_redis_that_is_flushed_gets_its_drains_back(tmp_path: Path, record_property: Record) -> None:
    """FLUSHALL under running servers is no outage: they notice, write everything back, and tell of it."""
    with (
        redis_server(tmp_path / "redis") as redis,
        redis_fleet(tmp_path, redis.url, count=3) as servers,
        judging(servers) as asker,
    ):
        ledger = Ledger(servers, asker)
        ledger.drain_two()
        redis.cli("flushall")
        back = wait_until(lambda: in_redis(redis) == ledger.acknowledged, "the drains are back in Redis")
        took = ledger.converged()
        record_property(
            "figure",
            f"{asker.figure()}; all is back in Redis after {back:.2f} s, converged after {back + took:.2f} s; "
            f"0 of {len(ledger.acknowledged)} acknowledged drains lost",
        )
        assert ledger.lost(redis) == []
        # The first server to notice writes back; others may find everything as they know it by then.
        told = sum(server.said().count("the store had lost writes") for server in servers)
        assert told == divergences(servers) > 0
        for server in servers:
            assert "Traceback" not in server.said()
