"""What a person sees whose Redis cannot be used: one line that says why, when the server starts and while it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stores.redis_stores import everything_in
from tests.support.redis import RedisServer, redis_server
from tests.support.relay import relay_to
from tests.support.servers import PATIENCE_SECONDS, Server, serving, wait_until


def ends_with_one_line(folder: Path, url: str) -> str:
    """Start a server that must end by itself, and return what it said."""
    folder.mkdir()
    server = Server(folder, store=url, workers=1)
    try:
        server.start(ready=False)
        assert server.process is not None
        assert server.process.wait(PATIENCE_SECONDS) == 1
    finally:
        server.close()
    lines = server.said().splitlines()
    assert len(lines) == 1, lines
    assert not (folder / "last-state").exists()
    return lines[0]


REFUSALS: dict[str, tuple[Callable[[RedisServer], object], str]] = {
    "keys of another type": (lambda redis: redis.cli("set", "{dnsd}:drains", "x"), "{dnsd}:drains is a string"),
    "a newer layout": (lambda redis: redis.cli("set", "{dnsd}:schema", "9"), "layout 9, this one knows 1"),
    "keys of another program": (lambda redis: redis.cli("hset", "{dnsd}:nodes", "a", "b"), "another program's"),
    "out of memory": (lambda redis: redis.cli("config", "set", "maxmemory", "1"), "it is out of memory"),
    "a password": (lambda redis: redis.cli("config", "set", "requirepass", "pw"), "it asks for a password"),
}


@pytest.mark.parametrize(("prepare", "says"), REFUSALS.values(), ids=REFUSALS)
def test_a_redis_that_cannot_be_used_is_one_line(
    tmp_path: Path, prepare: Callable[[RedisServer], object], says: str
) -> None:
    """Exit status 1, no traceback, no data touched, and the next start is for after it is mended."""
    with redis_server(tmp_path / "redis") as redis:
        prepare(redis)
        if says != "it asks for a password":
            before = everything_in(redis)
        line = ends_with_one_line(tmp_path / "dnsd", redis.url)
        assert line.startswith(f"dnsd: redis 127.0.0.1:{redis.port}: ")
        assert says in line
        if says != "it asks for a password":
            assert everything_in(redis) == before


def test_a_wrong_password_and_an_old_version_are_one_line(tmp_path: Path) -> None:
    """Neither repeats the password."""
    with redis_server(tmp_path / "redis", password="right") as redis, relay_to(redis.port) as relay:
        wrong = ends_with_one_line(tmp_path / "one", f"redis://:wrong@127.0.0.1:{redis.port}/0")
        assert "it does not accept the user or password of the URL" in wrong
        relay.rewrite(b"redis_version:7.", b"redis_version:5.")
        old = ends_with_one_line(tmp_path / "two", f"redis://:right@127.0.0.1:{relay.port}/0")
        assert "it is Redis 5.0.15, and dnsd needs 6.2 or newer" in old
        assert everything_in(redis) == {}


def test_an_empty_replica_is_one_line(tmp_path: Path) -> None:
    """It cannot be prepared."""
    with redis_server(tmp_path / "a") as primary, redis_server(tmp_path / "b", replica_of=primary) as replica:
        assert "it is a read-only replica and takes no writes" in ends_with_one_line(tmp_path / "dnsd", replica.url)


@pytest.mark.parametrize(
    ("break_it", "mend_it", "says"),
    [
        (("config", "set", "maxmemory", "1"), ("config", "set", "maxmemory", "0"), "it is out of memory"),
        (("replicaof", "127.0.0.1", "1"), ("replicaof", "no", "one"), "read-only replica"),
        (("config", "set", "min-replicas-to-write", "1"), ("config", "set", "min-replicas-to-write", "0"), "too few"),
    ],
    ids=["out of memory", "read-only", "too few replicas"],
)
def test_a_redis_that_takes_no_writes_any_more(
    tmp_path: Path, break_it: tuple[str, ...], mend_it: tuple[str, ...], says: str
) -> None:
    """Answers and drains stay; a write is a 503 that says why; one line tells of it, and one of its end."""
    with redis_server(tmp_path / "redis") as redis, serving(tmp_path, store=redis.url, workers=1) as server:
        server.cli("drain", "edge-2", "--reason", "x", "--wait", "applied")
        redis.cli(*break_it)
        wait_until(lambda: "the store is unavailable" in server.said(), "the outage is noted")
        done = server.run("drain", "ingest-1", "--reason", "x")
        assert (done.returncode, done.stdout) == (1, "")
        assert says in done.stderr
        assert "[store-unavailable]" in done.stderr
        assert server.addresses("edge.example.org") == {"192.0.2.11", "192.0.2.13"}
        redis.cli(*mend_it)
        wait_until(lambda: "the store is back" in server.said(), "the end of the outage is noted")
        server.cli("drain", "ingest-1", "--reason", "x", "--wait", "applied")
        assert server.said().count("the store is unavailable") == server.said().count("the store is back") == 1
        assert "Traceback" not in server.said()
