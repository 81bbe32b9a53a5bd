"""Reading the consumers of a large fleet from Redis: seldom, once for all who wait, and nothing of it kept too long."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis as redis_client

from dnsd.model.state import Consumer
from dnsd.stores.redis import rollcall
from dnsd.stores.redis.rollcall import REST_SECONDS_EACH
from tests.stores.redis_stores import opened
from tests.support.redis import RedisServer, redis_server

COUNT = 1000
STORM_SECONDS = 2.0
WAITERS = 10

# Signs of life that come each time, and in between. Unit: heartbeats, seconds.
BATCH, PAUSE_SECONDS = 10, 0.005

# A rest that can be told from a busy machine. Unit: seconds.
SEEN_REST_SECONDS = 0.5


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, whose commands are counted."""
    with redis_server(tmp_path / "redis") as own:
        yield own


def reads(redis: RedisServer) -> int:
    """Return how often all consumers were read since the last time."""
    said = redis.cli("info", "commandstats")
    redis.cli("config", "resetstat")
    return sum(int(line.split("calls=")[1].split(",")[0]) for line in said.splitlines() if "cmdstat_hgetall" in line)


def word(number: int, *, applied: int = 1) -> str:
    """Return what a router writes of itself, other than the last time."""
    seen_at = f"2026-01-01T00:00:{number % 60:02d}.{time.monotonic_ns() // 1_000_000 % 1000:03d}Z"
    return json.dumps({"kind": "router", "applied": applied, "seen_at": seen_at})


async def test_a_storm_of_heartbeats_does_not_make_those_who_wait_read_without_end(
    redis: RedisServer, record_property: Callable[[str, object], None]
) -> None:
    """A thousand routers live; ten who wait for one of them read as often as one would, and learn of it at once."""
    with redis_client.Redis(port=redis.port) as client:
        client.hset("{dnsd}:consumers", mapping={f"lb-{number}": word(number) for number in range(COUNT)})

        def beat(*numbers: int, applied: int = 1) -> None:
            with client.pipeline(transaction=False) as pipe:
                for number in numbers:
                    pipe.hset("{dnsd}:consumers", f"lb-{number}", word(number, applied=applied))
                    pipe.xadd("{dnsd}:progress", {"consumer": f"lb-{number}", "applied": str(applied)})
                pipe.execute()

        async with opened(redis.url) as store:
            before = await store.consumers()
            assert len(before) == COUNT
            reads(redis)
            waiting = [asyncio.create_task(store.consumers(unlike=before, wait_seconds=60)) for _ in range(WAITERS)]
            began, cpu, beats = time.monotonic(), time.process_time(), 0
            while time.monotonic() - began < STORM_SECONDS:
                beat(*((beats + each) % COUNT for each in range(BATCH)))
                beats += BATCH
                await asyncio.sleep(PAUSE_SECONDS)
            took, cpu = time.monotonic() - began, time.process_time() - cpu
            count = reads(redis)
            assert not any(each.done() for each in waiting)
            assert count <= took / (COUNT * REST_SECONDS_EACH) + 2
            began = time.monotonic()
            beat(0, applied=2)
            found = await asyncio.gather(*waiting)
            heard = time.monotonic() - began
    assert all(each == found[0] for each in found)
    assert {each.id for each in found[0] if each.applied == 2} == {"lb-0"}
    figure = f"{count} reads, {cpu / took * 100:.0f} % of a CPU, for {beats / took:.0f} heartbeats/s"
    record_property("figure", f"{figure}; told after {heard * 1000:.0f} ms")


async def test_the_first_word_after_a_quiet_time_is_read_at_once(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What rests is only the second of two reads."""
    monkeypatch.setattr(rollcall, "REST_SECONDS_EACH", SEEN_REST_SECONDS / 100)
    monkeypatch.setattr(rollcall, "LONGEST_REST_SECONDS", SEEN_REST_SECONDS)
    monkeypatch.setattr("dnsd.stores.redis.store.POLL_CONSUMERS_SECONDS", 60.0)
    async with opened(redis.url) as store, opened(redis.url) as other:
        for number in range(100):
            await other.heartbeat(Consumer(id=f"ns{number}", kind="dns", applied=1, applied_at=1.0, seen_at=1.0))
        before = await store.consumers()
        took = []
        for applied in range(2, 5):
            waiting = asyncio.create_task(store.consumers(unlike=before, wait_seconds=20))
            await asyncio.sleep(2.5 * SEEN_REST_SECONDS)  # whoever waits may read twice at first
            began = time.monotonic()
            await other.heartbeat(Consumer(id="ns0", kind="dns", applied=applied, applied_at=1.0, seen_at=1.0))
            before = await waiting
            took.append(time.monotonic() - began)
        assert min(took) < SEEN_REST_SECONDS / 2


async def test_what_is_remembered_of_consumers_ends_with_them(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Routers that come and go under ever new names, and write what cannot be read, do not fill the memory."""
    async with opened(redis.url) as store:
        for number in range(20):
            redis.cli("hset", "{dnsd}:consumers", f"lb-{number}", "applied=7")
            redis.cli("hset", "{dnsd}:consumers", f"well-{number}", word(number))
            assert len(await store.consumers()) == 1
            redis.cli("del", "{dnsd}:consumers")
        assert await store.consumers() == ()
        assert (store._roll_call._told, store._roll_call._known) == (set(), {})
    assert caplog.text.count("wrote what cannot be read") == 20


async def test_what_a_consumer_writes_anew_is_read_anew(redis: RedisServer) -> None:
    """Also where it could not be read before, and the other way round."""
    async with opened(redis.url) as store:
        for text, applied in ((word(1), [1]), ("?", []), (word(2, applied=2), [2]), (word(3, applied=3), [3])):
            redis.cli("hset", "{dnsd}:consumers", "lb-1", text)
            assert [each.applied for each in await store.consumers()] == applied
