"""Servers that start while Redis is away, or has lost everything: the file of the last state has what they need."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.outages import Ledger, refused_at_once, store_problem
from tests.support.redis import RedisServer, redis_server
from tests.support.redis_fleet import (
    POOL,
    Asker,
    address_of,
    call,
    drain,
    in_redis,
    judging,
    knows_all,
    redis_fleet,
    start_all,
)
from tests.support.servers import Server, wait_until

Record = Callable[[str, object], None]

STALE_SECONDS = 2.0
HEALTH = f'\n[health]\nstale_after = "{STALE_SECONDS:.0f}s"\n'

# Registered over the API.
PLAIN, PLAIN_ADDRESS = "plain-1", "192.0.2.61"
WATCHED, WATCHED_ADDRESS = "watched-1", "192.0.2.62"


def register(server: Server) -> None:
    """Register a node that nobody watches, and one that its agent reports of."""
    plain = {"addresses": [PLAIN_ADDRESS], "roles": ["storage"], "monitor": "none"}
    watched = {"addresses": [WATCHED_ADDRESS], "roles": ["edge"], "region": "us"}
    assert call(server, "PUT", f"/v1/nodes/{PLAIN}", plain).status == 200
    assert call(server, "PUT", f"/v1/nodes/{WATCHED}", watched).status == 200


def report(server: Server, sequence: int) -> None:
    """Report that the watched node is well."""
    body = {"sequence": sequence, "observed_at": datetime.now(UTC).isoformat(), "health": {"edge": "up"}}
    assert call(server, "POST", f"/v1/nodes/{WATCHED}/report", body).status == 200


def kept(server: Server) -> Any:
    """Return what stands in the file of a server's last state."""
    return json.loads((server.folder / "last-state").read_bytes().partition(b"\n")[2])


def keeps_fresh_report(server: Server, sequence: int) -> bool:
    """Report, and say whether the file has a report that was fresh when Redis was last heard."""
    report(server, sequence)
    state = kept(server)
    heard_at = datetime.fromisoformat(state["heard_at"])
    received = [datetime.fromisoformat(each["received_at"]) for each in state["reports"]]
    return any((heard_at - each).total_seconds() < STALE_SECONDS / 2 for each in received)


def answers(server: Server) -> dict[str, set[str]]:
    """Return the addresses of each name that a restart must not change."""
    names = (POOL, f"us.{POOL}", f"eu.{POOL}", f"{PLAIN}.nodes.example.org", "edge-1.nodes.example.org")
    return {name: server.addresses(name) for name in names}


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_server_restarted_during_the_outage_answers_as_before(
    tmp_path: Path, killed: bool, record_property: Record
) -> None:
    """Drained nodes stay out, registered ones resolve, and reports do not get stale before Redis is back."""
    with (
        redis_server(tmp_path / "redis", append_only=True) as redis,
        redis_fleet(tmp_path, redis.url, more=HEALTH) as servers,
    ):
        first = servers[0]
        register(first)
        for node in ("edge-1", "edge-2"):
            assert drain(first, node).status == 200
        sequences = iter(range(1, 10_000))
        wait_until(lambda: keeps_fresh_report(first, next(sequences)), "the last state has a report")
        before = answers(first)
        assert WATCHED_ADDRESS in before[POOL]
        assert before[f"{PLAIN}.nodes.example.org"] == {PLAIN_ADDRESS}
        assert not before[POOL] & {address_of("edge-1"), address_of("edge-2")}
        redis.kill()
        wait_until(lambda: store_problem(first), "the outage is noticed")
        if killed:
            first.kill()
        else:
            assert first.stop() == 0
        began = time.monotonic()
        first.start()
        started = time.monotonic() - began
        assert "starting from its last state" in first.said()
        assert store_problem(first)
        refused_at_once([first])
        asked = 0
        while time.monotonic() - began < 2 * STALE_SECONDS:
            assert answers(first) == before
            asked += len(before)
        record_property("figure", f"ready {started:.2f} s after the new start; {asked} answers as before the outage")
        leaves_after_the_outage(redis, servers)


def does_not_name(server: Server, address: str) -> bool:
    """Say whether a server's pool leaves an address out."""
    return address not in server.addresses(POOL)


def leaves_after_the_outage(redis: RedisServer, servers: list[Server]) -> None:
    """Start the Redis; a node that is silent from then on has its full time, and leaves the pool after it."""
    began = time.monotonic()
    redis.start()
    wait_until(lambda: all(knows_all(server, len(servers)) for server in servers), "each server knows of all")
    for server in servers:
        wait_until(functools.partial(does_not_name, server, WATCHED_ADDRESS), "the silent node has left")
        assert time.monotonic() - began > STALE_SECONDS
        assert "Traceback" not in server.said(), server.said()


def refusal(server: Server) -> str:
    """Start a server that cannot start, and return what it says last, its one line on why."""
    before = server.said()
    server.start(ready=False)
    assert server.process is not None
    assert server.process.wait(20) == 1
    said = server.said().removeprefix(before)
    assert "Traceback" not in said
    bare = [line for line in said.splitlines() if line.startswith("dnsd: ")]
    assert bare == said.splitlines()[-1:]
    return bare[0]


def away(redis_port: int) -> str:
    """Return the line of a server that has no Redis and nothing else to start from."""
    where = f"dnsd: redis 127.0.0.1:{redis_port}: it cannot be reached: Connection refused"
    return f"{where}; there is no last state to start from"


def test_without_a_last_state_no_server_starts_during_an_outage(tmp_path: Path) -> None:
    """It ends with status 1 and one line: to answer from nothing would be to name drained nodes."""
    with redis_server(tmp_path / "redis") as redis, redis_fleet(tmp_path, redis.url, count=1, store_more="") as servers:
        assert drain(servers[0], "edge-1").status == 200
        redis.kill()
        assert servers[0].stop() == 0
        assert refusal(servers[0]) == away(redis.port)


def test_a_damaged_last_state_is_not_used(tmp_path: Path) -> None:
    """One flipped bit, and the server does not start from it during an outage; with Redis there it does without it."""
    with redis_server(tmp_path / "redis") as redis, redis_fleet(tmp_path, redis.url, count=1) as servers:
        server = servers[0]
        assert drain(server, "edge-1").status == 200
        assert server.stop() == 0
        path = server.folder / "last-state"
        content = bytearray(path.read_bytes())
        content[-len(content) // 3] ^= 1
        path.write_bytes(content)
        redis.pause()
        redis.kill()
        assert refusal(server) == away(redis.port)
        assert server.said().count(f"the last state is of no use: {path} is damaged") == 1
        assert path.read_bytes() == content
        redis.start()
        server.start()
        assert server.said().count(f"{path} is damaged") == 2


def test_a_redis_that_is_flushed_while_no_server_runs_gets_its_drains_back(
    tmp_path: Path, record_property: Record
) -> None:
    """The servers know the drains from the files of their last state; no answer names the nodes from the first on."""
    with redis_server(tmp_path / "redis") as redis, redis_fleet(tmp_path, redis.url) as servers:
        for server, node in zip(servers, ("edge-1", "edge-2"), strict=True):
            assert drain(server, node).status == 200
        register(servers[0])
        assert [server.stop() for server in servers] == [0, 0]
        redis.cli("flushall")
        began = time.monotonic()
        asker = Asker(servers)
        ledger = Ledger(servers, asker)
        ledger.stand("edge-1", "edge-2")
        start_all(servers)
        took = time.monotonic() - began
        assert ledger.lost(redis) == []
        assert in_redis(redis) == {"edge-1", "edge-2"}
        assert set(redis.cli("hkeys", "{dnsd}:nodes").split()) == {PLAIN, WATCHED}
        for server in servers:
            assert server.addresses(f"{PLAIN}.nodes.example.org") == {PLAIN_ADDRESS}
        with judging(servers) as ledger.asker:
            ledger.stand("edge-1", "edge-2")
            took += ledger.converged()
            record_property(
                "figure",
                f"{ledger.asker.figure()}; converged {took:.2f} s after the start; "
                f"0 of {len(ledger.acknowledged)} acknowledged drains lost",
            )
        assert ledger.lost(redis) == []
