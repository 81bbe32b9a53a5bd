"""What servers tell of their checks in a Redis: it comes back as it was told, costs what changes, and heals."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from dnsd.errors import StoreRefused, StoreUnavailable
from dnsd.model.check import Results
from dnsd.model.state import Consumer
from dnsd.stores.redis import layout
from dnsd.stores.redis.checkwords import CheckWords
from dnsd.stores.redis.connecting import ANSWER_SECONDS, Lane
from dnsd.stores.redis.layout import Lately
from dnsd.stores.redis.link import Link
from tests.stores.redis_stores import opened
from tests.stores.samples import NOW
from tests.support.redis import RedisServer, shared_redis

AT = "2027-01-15T08:00:00.250Z"  # NOW as it is written

SMALL: Results = {"edge-1": {"edge": True, "origin": False}, "edge-2": {"edge": False}}


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    """Keys of the test's own in the Redis that this process's tests share."""
    return tmp_path.name


@pytest.fixture
def redis() -> RedisServer:
    """That Redis."""
    return shared_redis()


def a_server(name: str, *, seen_at: float = NOW) -> Consumer:
    """Return a server's sign of life."""
    return Consumer(id=name, kind="dns", applied=0, applied_at=NOW, seen_at=seen_at)


def many(count: int = 1000, *, down: tuple[int, ...] = ()) -> dict[str, dict[str, bool]]:
    """Return results of so many nodes, of which some are down."""
    return {f"edge-{number:05}": {"edge": number not in down} for number in range(count)}


def written(redis: RedisServer, prefix: str, key: str, server: str = "ns1") -> str:
    """Return the text that stands of a server."""
    return redis.cli("hget", f"{{{prefix}}}:{key}", server)


def test_words_are_read_as_they_were_written() -> None:
    """Both values; a node without a role stands for one that nothing is known of any more."""
    for lately in (Lately(None, SMALL, NOW), Lately("aa", {**SMALL, "edge-3": {}}, NOW)):
        assert layout.read_lately(layout.write_lately(lately)) == lately
    assert layout.read_whole(layout.write_whole("aa", SMALL)) == ("aa", SMALL)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"nodes":[]}', '{"nodes":{"a":"up"}}', '{"mark":"a","nodes":1}', "{"]
)
def test_what_is_none_of_these_is_refused(text: str) -> None:
    """With one error that says what it is; a word for health that comes later is left out."""
    with pytest.raises(ValueError, match="in '"):
        layout.read_lately(text)
    with pytest.raises(ValueError, match="in '"):
        layout.read_whole(text)
    with pytest.raises(ValueError, match="in '"):
        layout.read_lately('{"nodes":{}}')  # nobody knows of when it is
    text = f'{{"at":"{AT}","nodes":{{"a":{{"edge":"degraded","origin":"up"}}}}}}'
    assert layout.read_lately(text).nodes == {"a": {"origin": True}}


async def test_what_is_told_is_read_with_the_last_sign_of_life(redis: RedisServer, prefix: str) -> None:
    """Of each server its own; what stands is not written again; nothing is taken out, and an end forgets it."""
    async with opened(redis.url, prefix=prefix) as one, opened(redis.url, prefix=prefix) as reader:
        assert await reader.checked() == {}
        await one.tell_checked({}, server="ns1", at=NOW)
        assert redis.cli("exists", f"{{{prefix}}}:checked") == "0"
        await one.tell_checked(SMALL, server="ns1", at=NOW)
        await one.tell_checked(SMALL, server="ns1", at=NOW + 60)
        assert json.loads(written(redis, prefix, "checked")) == {
            "at": AT,
            "whole": None,
            "nodes": {"edge-1": {"edge": "up", "origin": "down"}, "edge-2": {"edge": "down"}},
        }
        found = await reader.checked()
        assert (found["ns1"].results, found["ns1"].seen_at, found["ns1"].told_at) == (SMALL, None, NOW)
        await one.heartbeat(a_server("ns1"))
        again = await reader.checked()
        assert again["ns1"].results is found["ns1"].results
        assert again["ns1"].seen_at == NOW
        await one.tell_checked({"edge-9": {"edge": True}}, server="ns2", at=NOW)
        assert {name: each.results for name, each in (await reader.checked()).items()} == {
            "ns1": SMALL,
            "ns2": {"edge-9": {"edge": True}},
        }
        await one.tell_checked({}, server="ns1", at=NOW)
        assert (await reader.checked()).keys() == {"ns2"}
        await one.forget_consumer("ns2")
        assert await reader.checked() == {}


async def test_a_change_in_a_large_fleet_costs_what_has_changed(redis: RedisServer, prefix: str) -> None:
    """Only where many have changed, the whole is told anew; a reader has it right at each step."""
    steps: list[Results] = [
        many(),
        many(down=(7,)),
        {**many(down=(7, 8)), "edge-new": {"edge": True}},
        many(900),
        many(down=tuple(range(400))),
        many(down=(1,)),
        many(3),
        many(1000),
    ]
    async with opened(redis.url, prefix=prefix) as one, opened(redis.url, prefix=prefix) as reader:
        wholes, sizes = [], []
        for results in steps:
            await one.tell_checked(results, server="ns1", at=NOW)
            assert (await reader.checked())["ns1"].results == results
            wholes.append(written(redis, prefix, "checked-whole"))
            sizes.append(len(written(redis, prefix, "checked")))
        assert wholes[0] == wholes[1] == wholes[2] == wholes[3] != wholes[4]
        assert max(sizes[1], sizes[2]) < 200 < sizes[3]


async def test_what_the_store_has_lost_is_put_right_by_telling_again(redis: RedisServer, prefix: str) -> None:
    """Whether it is gone, or as it was before; so is what a server of that id has left."""
    async with opened(redis.url, prefix=prefix) as one, opened(redis.url, prefix=prefix) as reader:
        results = many(down=(7,))
        await one.tell_checked(many(), server="ns1", at=NOW)
        before = written(redis, prefix, "checked")
        await one.tell_checked(results, server="ns1", at=NOW)
        for lose in (("del", f"{{{prefix}}}:checked"), ("hset", f"{{{prefix}}}:checked", "ns1", before)):
            redis.cli(*lose)
            redis.cli("del", f"{{{prefix}}}:checked-whole")
            await one.tell_checked(results, server="ns1", at=NOW)
            assert (await reader.checked())["ns1"].results == results
        whole = f"{{{prefix}}}:checked-whole"
        for spoil in (("hdel", whole, "ns1"), ("hset", whole, "ns1", "x")):
            redis.cli(*spoil)
            await one.tell_checked(dict(results), server="ns1", at=NOW + 60)  # as is done once a minute
            async with opened(redis.url, prefix=prefix) as other:
                assert (await other.checked())["ns1"].results == results
    async with opened(redis.url, prefix=prefix) as new:
        await new.tell_checked({}, server="ns1", at=NOW)
        assert await new.checked() == {}
        assert redis.cli("exists", f"{{{prefix}}}:checked-whole") == "0"


async def test_what_cannot_be_read_does_not_count_and_is_told_once(
    redis: RedisServer, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In either value; the others' words do, and its own does again once it can be read."""
    async with opened(redis.url, prefix=prefix) as one, opened(redis.url, prefix=prefix) as reader:
        await one.tell_checked(SMALL, server="ns2", at=NOW)
        await one.tell_checked(many(), server="ns1", at=NOW)
        for key in ("checked", "checked-whole"):
            caplog.clear()
            good = written(redis, prefix, key)
            async with opened(redis.url, prefix=prefix) as other:
                with caplog.at_level(logging.ERROR):
                    redis.cli("hset", f"{{{prefix}}}:{key}", "ns1", "[1]")
                    for _ in range(3):
                        assert (await other.checked()).keys() == {"ns2"}
                (line,) = (record.getMessage() for record in caplog.records)
                assert f"the server ns1 tells of its checks in {{{prefix}}}:{key} cannot be read" in line
                redis.cli("hset", f"{{{prefix}}}:{key}", "ns1", good)
                assert (await other.checked()).keys() == {"ns1", "ns2"}
        assert (await reader.checked())["ns1"].results == many()


async def test_a_whole_of_another_moment_is_not_taken(redis: RedisServer, prefix: str) -> None:
    """Where it is missing, too: nothing is made up."""
    async with opened(redis.url, prefix=prefix) as one, opened(redis.url, prefix=prefix) as reader:
        await one.tell_checked(many(), server="ns1", at=NOW)
        redis.cli("hset", f"{{{prefix}}}:checked-whole", "ns1", layout.write_whole("other", SMALL))
        assert await reader.checked() == {}
        redis.cli("hdel", f"{{{prefix}}}:checked-whole", "ns1")
        assert await reader.checked() == {}


async def test_a_key_that_becomes_another_programs_is_refused(redis: RedisServer, prefix: str) -> None:
    """In words for people, to who tells and who reads; drains go on."""
    async with opened(redis.url, prefix=prefix) as store:
        redis.cli("set", f"{{{prefix}}}:checked", "x")
        with pytest.raises(StoreRefused, match="another type than dnsd's"):
            await store.checked()
        with pytest.raises(StoreRefused, match="another type than dnsd's"):
            await store.tell_checked(SMALL, server="ns1", at=NOW)
        assert (await store.load()).revision == 0


async def test_a_write_that_was_not_acknowledged_is_made_again(
    redis: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it has landed or not: readers find the last word, with the whole that it is about."""
    async with opened(redis.url, prefix=prefix) as store, opened(redis.url, prefix=prefix) as reader:
        write = CheckWords._write

        async def lose(words: CheckWords, *args: Any) -> None:
            if lands:
                await write(words, *args)
            raise StoreUnavailable("no answer")

        for lands in (False, True):
            results = many(down=(1, 2) if lands else (1,))
            with monkeypatch.context() as patch:
                patch.setattr(CheckWords, "_write", lose)
                with pytest.raises(StoreUnavailable):
                    await store.tell_checked(results, server="ns1", at=NOW)
            await store.tell_checked(results, server="ns1", at=NOW)
            assert (await reader.checked())["ns1"].results == results


async def test_only_a_whole_may_take_long(redis: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that hangs is found out as soon as by any other command, and drains are not held up for longer."""
    run, asked = Link.run, []

    async def note(link: Link, job: Any, *, seconds: float = ANSWER_SECONDS, lane: Lane = Lane.COMMANDS) -> Any:
        asked.append((lane, seconds))
        return await run(link, job, seconds=seconds, lane=lane)

    monkeypatch.setattr(Link, "run", note)
    async with opened(redis.url, prefix=prefix) as store:
        for results in (SMALL, many(), many(down=(7,)), {}):
            await store.tell_checked(results, server="ns1", at=NOW)
            await store.checked()
    assert {seconds for lane, seconds in asked if lane is Lane.COMMANDS} == {ANSWER_SECONDS}
    assert Lane.LOADING in {lane for lane, _ in asked}
