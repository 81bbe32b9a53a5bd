"""`?wait=applied` over one Redis covers routers in any language, and servers that just come up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis as redis_client

from tests.support.background import Background
from tests.support.redis import RedisServer, redis_server
from tests.support.redis_fleet import POOL, Asker, address_of, by_all, drain, in_redis, judging, redis_fleet, undrain
from tests.support.relay import relay_to
from tests.support.servers import Server, wait_until

Record = Callable[[str, object], None]

CONSUMERS, PROGRESS, REVISION = "{dnsd}:consumers", "{dnsd}:progress", "{dnsd}:revision"

# How often the second server comes and goes while drains are placed through the first.
STARTS = 5

# How many answers it gives each time.
ANSWERS = 30


class Router:
    """A router of somebody else's: it speaks to Redis and has no part of dnsd in it."""

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis_client.Redis(port=redis.port, decode_responses=True)

    def newest(self) -> int:
        """Return the store's revision."""
        return int(self._redis.get(REVISION) or 0)

    def says(self, applied: int, *, tells: bool) -> None:
        """Write how far it has come, and tell those who wait of it if it knows of that stream."""
        about = {"kind": "router", "applied": applied, "seen_at": datetime.now(UTC).isoformat()}
        self._redis.hset(CONSUMERS, "router-1", json.dumps(about))
        if tells:
            self._redis.xadd(PROGRESS, {"consumer": "router-1", "applied": str(applied)})

    def close(self) -> None:
        """Let go of Redis."""
        self._redis.close()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    with redis_server(tmp_path / "redis") as own:
        yield own


@pytest.fixture
def router(redis: RedisServer) -> Iterator[Router]:
    """A router that has said nothing yet."""
    own = Router(redis)
    yield own
    own.close()


@pytest.mark.parametrize("tells", [True, False], ids=["tells", "writes-its-state-alone"])
def test_waiting_for_applied_covers_a_router_in_another_language(
    tmp_path: Path, redis: RedisServer, router: Router, tells: bool, record_property: Record
) -> None:
    """Behind: 202 and pending. Once it writes the revision, whoever waits has 200 with the router among `applied`."""
    with redis_fleet(tmp_path, redis.url) as servers, ThreadPoolExecutor() as threads:
        router.says(router.newest(), tells=tells)
        reply = drain(servers[0], "edge-1", query="?wait=applied&timeout=3")
        assert reply.status == 202
        assert [(each["consumer"], each["kind"]) for each in reply.document["pending"]] == [("router-1", "router")]
        assert reply.document["pending"][0]["applied_revision"] == reply.document["revision"] - 1
        assert {each["consumer"] for each in reply.document["applied"]} == {"ns1", "ns2"}

        waiting = threads.submit(drain, servers[1], "edge-2")
        wait_until(lambda: in_redis(redis) == {"edge-1", "edge-2"}, "the second drain is in Redis")
        assert not waiting.done()
        began = time.monotonic()
        router.says(router.newest(), tells=tells)
        reply = waiting.result()
        record_property("figure", f"acknowledged {(time.monotonic() - began) * 1000:.1f} ms after the router's word")
        assert reply.status == 200, reply
        assert reply.document["pending"] == []
        kinds = {each["consumer"]: each["kind"] for each in reply.document["applied"]}
        assert kinds == {"ns1": "dns", "ns2": "dns", "router-1": "router"}


@pytest.mark.parametrize("through", [0, 1], ids=["who-restores-it", "another"])
def test_a_live_server_is_waited_for_although_redis_was_emptied(
    tmp_path: Path, redis: RedisServer, through: int
) -> None:
    """Its link hangs, so that it says nothing and hears nothing: no other acknowledges a drain without it."""
    with (
        relay_to(redis.port) as relay,
        redis_fleet(tmp_path, [redis.url, redis.url, relay.url]) as (*others, last),
    ):
        relay.hold()
        reply = drain(others[0], "edge-1", query="?wait=applied&timeout=2")
        assert [each["consumer"] for each in reply.document["pending"]] == ["ns3"]
        redis.cli("flushall")
        # The first write finds the store empty, and its server writes back what there was.
        assert drain(others[0], "edge-2", query="").document["changed"] is True
        reply = drain(others[through], "edge-3", query="?wait=applied&timeout=2")
        assert address_of("edge-3") in last.addresses(POOL)
        assert reply.status == 202
        assert [each["consumer"] for each in reply.document["pending"]] == ["ns3"]


class Restarts(Background):
    """Starts a server, and stops it again when it has answered for a while, `STARTS` times."""

    def __init__(self, server: Server, asker: Asker) -> None:
        super().__init__()
        self.starts = 0
        self._server = server
        self._asker = asker

    def _run(self) -> None:
        while self.starts < STARTS:
            self._server.start()
            self.starts += 1
            enough = self._asker.answered + ANSWERS
            wait_until(lambda: self._asker.answered >= enough, "it answers")  # noqa: B023 - called at once
            assert self._server.stop() == 0


def test_a_server_that_comes_up_while_drains_are_placed_never_names_a_drained_node(
    tmp_path: Path, redis: RedisServer, record_property: Record
) -> None:
    """Through the first server drains come and go; after each acknowledgement the second, if it answers, knows it."""
    with redis_fleet(tmp_path, redis.url) as (first, second):
        assert second.stop() == 0
        placed = covered = 0
        with (
            judging([first]) as asker,
            judging([second], may_be_away=True) as other,
            Restarts(second, other) as restarts,
        ):
            while restarts.under_way:
                for change in (drain, undrain):
                    for node in ("edge-1", "edge-2", "edge-3"):
                        if change is undrain:
                            asker.released(node)
                            other.released(node)
                        reply = change(first, node)
                        assert reply.status == 200, reply
                        if change is drain:
                            asker.drained(node)
                            other.drained(node)
                            placed += 1
                            covered += by_all(reply, [first, second])
        record_property(
            "figure",
            f"{placed} drains acknowledged, {covered} of them by both servers, over {restarts.starts} starts of the "
            f"second: {other.answered} answers of it judged, {len(other.wrong)} wrong; the first: "
            f"{asker.figure()}",
        )
        assert restarts.starts == STARTS
        assert covered > 0
        assert other.answered >= STARTS * ANSWERS
        for server in (first, second):
            assert "Traceback" not in server.said(), server.said()
