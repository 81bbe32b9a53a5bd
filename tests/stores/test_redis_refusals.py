"""A Redis that dnsd cannot use: one clear line each, and nothing that is there is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_py

from dnsd.errors import StoreRefused, StoreUnavailable
from dnsd.model.state import Consumer
from tests.stores.redis_stores import everything_in, opened, refusal, store_at
from tests.stores.samples import NOW, a_report, put_drain
from tests.support.redis import RedisServer, redis_server
from tests.support.relay import relay_to
from tests.support.servers import wait_until

NS1 = Consumer(id="ns1", kind="dns", applied=1, applied_at=NOW, seen_at=NOW)

TYPES = {
    "schema": ("lpush", "x"),
    "revision": ("hset", "f", "x"),
    "drains": ("set", "x"),
    "nodes": ("lpush", "x"),
    "configured": ("lpush", "x"),
    "checked": ("set", "x"),
    "checked-whole": ("lpush", "x"),
    "reports": ("set", "x"),
    "consumers": ("set", "x"),
    "changes": ("set", "x"),
    "history": ("sadd", "x"),
    "history-of-nodes": ("set", "x"),
    "reported": ("set", "x"),
    "progress": ("set", "x"),
    "serials": ("set", "x"),
}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for the tests of this module, each with a prefix of its own."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


async def test_an_old_version_is_refused(redis: RedisServer) -> None:
    """Redis before 6.2: named, with what is needed."""
    with relay_to(redis.port) as relay:
        relay.rewrite(b"redis_version:7.0.15", b"redis_version:6.0.16")
        before = everything_in(redis)
        says = await refusal(relay.url, StoreRefused)
        assert "it is Redis 6.0.16, and dnsd needs 6.2 or newer" in says
        assert everything_in(redis) == before


@pytest.mark.parametrize(
    ("userinfo", "says"),
    [
        (":wrong@", "does not accept the user or password"),
        ("nobody:secret@", "does not accept the user or password"),
        ("", "asks for a password: put one into the URL"),
    ],
)
async def test_a_bad_password_is_refused(tmp_path: Path, userinfo: str, says: str) -> None:
    """Wrong, of another user, or missing; the line does not repeat it."""
    with redis_server(tmp_path, password="secret") as server:
        line = await refusal(f"redis://{userinfo}127.0.0.1:{server.port}", StoreRefused)
        assert says in line
        assert "wrong" not in line
        assert everything_in(server) == {}


async def test_a_password_that_nobody_asks_for_is_refused(redis: RedisServer) -> None:
    """Someone who set one expects it to be asked for."""
    line = await refusal(f"redis://:secret@127.0.0.1:{redis.port}", StoreRefused)
    assert "it asks for no password, but the URL has one" in line


async def test_a_user_without_the_rights_is_refused(redis: RedisServer) -> None:
    """With the command that it may not use."""
    for number, denied in enumerate(("info", "evalsha", "type", "xread")):
        redis.cli("acl", "setuser", f"user{number}", "on", ">pw", "~*", "+@all", f"-{denied}")
        says = await refusal(f"redis://user{number}:pw@127.0.0.1:{redis.port}", StoreRefused, prefix="denied")
        assert (denied, "its user may not do all that dnsd needs" in says) == (denied, True)


@pytest.mark.parametrize("key", TYPES)
async def test_a_key_of_another_type_is_refused(redis: RedisServer, key: str) -> None:
    """Each of ours, named with what it is; the key stays what it was."""
    prefix = f"type-{key}"
    command, *values = TYPES[key]
    redis.cli(command, f"{{{prefix}}}:{key}", *values)
    before = everything_in(redis)
    says = await refusal(redis.url, StoreRefused, prefix=prefix)
    assert f"{{{prefix}}}:{key} is a {redis.cli('type', f'{{{prefix}}}:{key}')}, not dnsd's" in says
    assert everything_in(redis) == before


async def test_a_key_that_changes_its_type_stops_commits_before_they_write(redis: RedisServer) -> None:
    """While the store is open: the commit is refused as a whole."""
    async with opened(redis.url, prefix="later") as store:
        await put_drain(store, 0)
        redis.cli("del", "{later}:history")
        redis.cli("set", "{later}:history", "x")
        before = everything_in(redis)
        with pytest.raises(StoreRefused, match=r"\{later\}:history is a string"):
            await put_drain(store, 1)
        assert everything_in(redis) == before


async def test_a_newer_layout_is_refused(redis: RedisServer) -> None:
    """When it is opened, and for commits of a server that runs when another one has moved the layout on."""
    async with opened(redis.url, prefix="newer") as store:
        await put_drain(store, 0)
        redis.cli("set", "{newer}:schema", "2")
        before = everything_in(redis)
        with pytest.raises(StoreRefused, match="layout 2, this one knows 1"):
            await put_drain(store, 1)
        assert "layout 2, this one knows 1" in await refusal(redis.url, StoreRefused, prefix="newer")
        assert everything_in(redis) == before


async def test_keys_of_another_program_are_refused(redis: RedisServer) -> None:
    """A hash of drains of somebody else's: no layout's number beside it."""
    redis.cli("hset", "{foreign}:drains", "x", "y")
    before = everything_in(redis)
    assert "they are another program's" in await refusal(redis.url, StoreRefused, prefix="foreign")
    assert everything_in(redis) == before


async def test_what_routers_write_before_the_first_server_is_no_other_programs(redis: RedisServer) -> None:
    """A consumer that came first does no harm."""
    redis.cli("hset", "{early}:consumers", "lb-1", '{"kind":"router","applied":0,"seen_at":"2026-01-01T00:00:00Z"}')
    async with opened(redis.url, prefix="early") as store:
        assert [each.id for each in await store.consumers()] == ["lb-1"]


async def test_a_database_that_is_not_there_is_refused(redis: RedisServer) -> None:
    """Redis has 16 of them by default."""
    assert "no database of that number" in await refusal(f"redis://127.0.0.1:{redis.port}/999", StoreRefused)


async def test_a_read_only_replica_can_be_read(tmp_path: Path) -> None:
    """An empty one is refused, since it cannot be prepared; one with a fleet is served from, and takes no writes."""
    with redis_server(tmp_path / "primary") as primary:
        with redis_server(tmp_path / "empty", replica_of=primary) as replica:
            line = await refusal(replica.url, StoreUnavailable)
            assert "read-only replica and takes no writes" in line
        async with opened(primary.url) as store:
            await put_drain(store, 0)
        with redis_server(tmp_path / "replica", replica_of=primary) as replica:
            wait_until(lambda: everything_in(primary) == everything_in(replica), "the replica follows")
            before = everything_in(replica)
            async with opened(replica.url) as store:
                assert (await store.load()).revision == 1
                with pytest.raises(StoreUnavailable, match="read-only replica and takes no writes"):
                    await put_drain(store, 1)
                assert (await store.load()).revision == 1
            assert everything_in(replica) == before


async def test_out_of_memory_refuses_writes_alone(tmp_path: Path) -> None:
    """A commit is refused as a whole, reads go on; with memory again, writes do too."""
    with redis_server(tmp_path) as server:
        async with opened(server.url) as store:
            await put_drain(store, 0)
            server.cli("config", "set", "maxmemory", "1")
            before = everything_in(server)
            for call in (put_drain(store, 1), store.put_reports([a_report(sequence=1)]), store.heartbeat(NS1)):
                with pytest.raises(StoreUnavailable, match="it is out of memory and takes no writes"):
                    await call
            assert everything_in(server) == before
            assert (await store.load()).revision == 1
            server.cli("config", "set", "maxmemory", "0")
            assert await put_drain(store, 1) == 2


async def test_out_of_memory_before_the_first_start_is_refused(tmp_path: Path) -> None:
    """Nothing can be kept there."""
    with redis_server(tmp_path, options=("--maxmemory", "1")) as server:
        assert "it is out of memory" in await refusal(server.url, StoreUnavailable)
        assert everything_in(server) == {}


async def test_a_disk_that_fails_refuses_writes(tmp_path: Path) -> None:
    """Redis that cannot save (MISCONF) says so, and so do we."""
    with redis_server(tmp_path) as server:
        async with opened(server.url) as store:
            await put_drain(store, 0)
            (tmp_path / "dump.rdb").mkdir()  # a save cannot take the place of a folder that is not empty
            (tmp_path / "dump.rdb" / "x").touch()
            server.cli("config", "set", "save", "1000 1000")
            server.cli("bgsave")
            wait_until(lambda: "rdb_last_bgsave_status:err" in server.cli("info", "persistence"), "the save fails")
            with pytest.raises(StoreUnavailable, match="cannot save to its disk and takes no writes"):
                await put_drain(store, 1)
            assert (await store.load()).revision == 1


async def test_values_that_cannot_be_read_are_one_line(redis: RedisServer) -> None:
    """A drain that somebody else wrote; bytes that are no text."""
    async with opened(redis.url, prefix="odd") as store:
        await put_drain(store, 0)
        redis.cli("hset", "{odd}:drains", "a/*/b", '{"node":"a"}')
        with pytest.raises(StoreUnavailable, match="a value that this dnsd cannot read") as caught:
            await store.load()
        assert "\n" not in str(caught.value)


async def test_what_answers_there_is_no_redis(redis: RedisServer) -> None:
    """A port of another program's."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert "does not speak the protocol of Redis" in await refusal(f"redis://127.0.0.1:{port}", StoreUnavailable)


async def test_a_consumer_that_cannot_be_read_is_named_once(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A router's fault does not keep others from being waited for."""
    async with opened(redis.url, prefix="sloppy") as store:
        redis.cli("hset", "{sloppy}:consumers", "lb-1", "applied=7")
        redis.cli(
            "hset", "{sloppy}:consumers", "lb-2", '{"kind":"router","applied":7,"seen_at":"2026-01-01T00:00:00Z"}'
        )
        for _ in range(2):
            assert [(each.id, each.applied) for each in await store.consumers()] == [("lb-2", 7)]
    assert caplog.text.count("the consumer lb-1 wrote what cannot be read") == 1


def test_a_store_is_not_open_before_it_is_opened() -> None:
    """Making one connects to nothing."""
    assert store_at("redis://127.0.0.1:1").remote is True


HOSTILE = {
    "a number without end": '{"kind":"router","applied":1e999,"seen_at":"2026-01-01T00:00:00Z"}',
    "Infinity": '{"kind":"router","applied":Infinity,"seen_at":"2026-01-01T00:00:00Z"}',
    "a fraction": '{"kind":"router","applied":1.5,"seen_at":"2026-01-01T00:00:00Z"}',
    "a number below 0": '{"kind":"router","applied":-1,"seen_at":"2026-01-01T00:00:00Z"}',
    "a number that no id holds": '{"kind":"router","applied":99999999999999999999,"seen_at":"2026-01-01T00:00:00Z",'
    '"mark":"x"}',
    "no text": b"\xff",
    "the year 1": '{"kind":"router","applied":1,"seen_at":"0001-01-01T00:00:00+14:00"}',
    "nested without end": "[" * 100_000,
    "a list": "[]",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_no_field_of_a_router_hides_the_others(redis: RedisServer, text: str | bytes) -> None:
    """Whatever it writes about itself, the others can be read, and the store is not away."""
    prefix = f"hostile{list(HOSTILE.values()).index(text)}"
    async with opened(redis.url, prefix=prefix) as store:
        await store.heartbeat(NS1)
        with redis_py.Redis(port=redis.port) as client:
            client.hset(f"{{{prefix}}}:consumers", "lb-1", text)
        assert await store.consumers() == (NS1,)


async def test_keys_with_another_content_are_one_line(redis: RedisServer) -> None:
    """A revision that is no number, and an entry of reports without nodes."""
    async with opened(redis.url, prefix="content") as store:
        await put_drain(store, 0)
        _, place = await store.reports()
        redis.cli("xadd", "{content}:reported", "*", "x", "y")
        assert (await store.reports(after=place))[0] == ()
        redis.cli("set", "{content}:revision", "abc")
        for call in (store.load(), store.changes(after=1), put_drain(store, 1)):
            with pytest.raises(StoreUnavailable, match="a value that this dnsd cannot read"):
                await call
