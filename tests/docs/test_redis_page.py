"""What the page on Redis shows, run against a real Redis, and what it lists, compared with the code."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from dnsd.model.state import Action, Consumer, HistoryEntry
from dnsd.model.times import parse_instant
from dnsd.stores.base import CHANGES_KEPT, REPORTS_KEPT
from dnsd.stores.opening import open_store, why_not
from dnsd.stores.redis import faults, layout
from dnsd.stores.redis.layout import Lately
from tests.docs.example import ROOT, example
from tests.docs.sessions import check_session, session_of
from tests.stores.samples import NOW, a_drain, a_report, placed, released, told
from tests.support.redis import RedisServer, redis_server
from tests.support.servers import PATIENCE_SECONDS

PAGE = ROOT / "docs" / "redis.md"


def _rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table after a heading, without its first two lines."""
    table = PAGE.read_text().partition(f"\n{heading}\n")[2].partition("\n|")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[2:]]


def _with_user(folder: Path, name: str) -> RedisServer:
    """Return a server that has a user of the page's."""
    rule = re.search(rf"^user {name} on .*$", PAGE.read_text(), re.MULTILINE)
    assert rule is not None
    folder.mkdir()
    (folder / "redis.conf").write_text(rule[0] + "\n")
    return RedisServer(folder)


def test_the_sessions_of_the_page_are_true(tmp_path: Path) -> None:
    """Each command of the page, copied line by line, prints what the page says."""
    assert len(session_of(PAGE)) >= 15
    (tmp_path / "server").mkdir()
    with redis_server(tmp_path / "redis") as redis, example(tmp_path / "server", redis=redis) as server:
        check_session(PAGE, server.shell)


async def test_the_user_of_the_page_may_do_what_dnsd_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is opened as the user of the page does everything that a store does."""
    server = _with_user(tmp_path / "redis", "dnsd")
    try:
        server.start()
        store = open_store(f"redis://dnsd:SECRET@127.0.0.1:{server.port}/1", prefix="dnsd", base=tmp_path)
        await store.open()
        try:
            for revision in (1, 2):  # the second time, there is a report before, and history is cut
                drain = a_drain(revision=revision)
                history = [told(revision)]
                await store.commit(expected_revision=revision - 1, changes=[placed(drain)], history=history, at=NOW)
                await store.put_reports([a_report(sequence=revision)])
                monkeypatch.setattr(layout, "HISTORY_KEPT", 1)
            await store.commit(expected_revision=2, changes=[released(drain.key)], history=[], at=NOW)
            assert len(await store.changes(after=1, wait_seconds=1)) == 2
            assert await store.load()
            expected: tuple[tuple[HistoryEntry, ...], None] = ((told(2),), None)
            assert await store.history() == await store.history(node="edge-1") == expected
            assert len((await store.reports())[0]) == len((await store.reports(after="0-0"))[0]) == 1
            await store.drop_report("edge-1")
            await store.tell_configured([], server="ns1", at=NOW)
            for count in (1, 1000, 0):
                found = {f"edge-{number}": {"edge": True} for number in range(count)}
                await store.tell_checked(found, server="ns1", at=NOW)
                assert len(await store.checked()) == (1 if count else 0)
            await store.heartbeat(Consumer(id="ns1", kind="dns", applied=3, applied_at=NOW, seen_at=NOW))
            assert len(await store.consumers()) == 1
            await store.forget_consumer("ns1")
            await store.confirm(revision=3)
        finally:
            await store.close()
        assert server.cli("ACL", "DRYRUN", "dnsd", "WAIT", "1", "1000") == "OK"  # where replicas are asked for
    finally:
        server.close()


def test_the_routers_user_of_the_page_may_do_what_a_router_does(tmp_path: Path) -> None:
    """That user may read every key, write what is a router's, and nothing else."""
    server = _with_user(tmp_path / "redis", "router")

    def does(*words: str) -> str:
        login = ["--user", "router", "--pass", "SECRET", "--no-auth-warning"]
        command = ["redis-cli", "-p", str(server.port), *login, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS).stdout

    try:
        server.start()
        assert does("HSET", "{dnsd}:consumers", "router-7", "{}") == "1\n"
        assert does("XADD", "{dnsd}:progress", "MAXLEN", "~", "1000", "*", "consumer", "router-7", "applied", "1")
        assert does("HDEL", "{dnsd}:consumers", "router-7") == "1\n"
        for words in (
            ["GET", "{dnsd}:revision"],
            ["HGETALL", "{dnsd}:drains"],
            ["HGETALL", "{dnsd}:checked"],
            ["HGETALL", "{dnsd}:checked-whole"],
            ["XREVRANGE", "{dnsd}:changes", "+", "-", "COUNT", "1"],
            ["XRANGE", "{dnsd}:changes", "1-0", "+", "COUNT", "1000"],
            ["XREAD", "BLOCK", "1", "STREAMS", "{dnsd}:changes", "1-0"],
        ):
            assert "NOPERM" not in does(*words), words
        for words in (["HSET", "{dnsd}:drains", "a", "b"], ["HDEL", "{dnsd}:drains", "a"], ["DEL", "{dnsd}:consumers"]):
            assert "NOPERM" in does(*words), words
    finally:
        server.close()


def test_the_recommended_settings_are_taken_and_say_what_the_page_says(tmp_path: Path) -> None:
    """A Redis starts with the page's settings, and refuses writes while it has no replica."""
    settings = PAGE.read_text().partition("### redis.conf\n\n```\n")[2].partition("```")[0]
    (tmp_path / "redis.conf").write_text(settings)
    with redis_server(tmp_path) as server:
        assert server.cli("CONFIG", "GET", "appendonly").split() == ["appendonly", "yes"]
        done = subprocess.run(
            ["redis-cli", "-p", str(server.port), "SET", "key", "value"], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("NOREPLICAS")


def test_the_page_lists_every_key() -> None:
    """The table of keys has each key with its type, and nothing else."""
    listed = {row[0].strip("`"): row[1].replace("sorted set", "zset") for row in _rows("## The keys")}
    assert listed == dict(layout.Keys("dnsd").types)


def test_the_page_tells_the_bounds_and_the_layouts_version() -> None:
    """The bounds of the streams, the version of the layout and the oldest Redis are those of the code."""
    text = PAGE.read_text()
    bounds = {row[0].strip("`"): row[3] for row in _rows("## The keys")}
    assert bounds["{dnsd}:changes"] == f"the last {CHANGES_KEPT:,}"
    assert bounds["{dnsd}:history"] == f"the last {layout.HISTORY_KEPT:,}"
    assert bounds["{dnsd}:progress"] == f"about {layout.PROGRESS_KEPT:,}"
    assert bounds["{dnsd}:reported"] == f"about {REPORTS_KEPT:,}"
    assert f"the version of this layout: `{layout.SCHEMA}`" in text
    assert f"Redis {'.'.join(map(str, layout.OLDEST_VERSION))} or newer" in text


def test_what_the_page_shows_of_checks_is_what_is_written() -> None:
    """The two values are those of one server, as the layout reads and writes them."""
    section = PAGE.read_text().partition("\n### What checks have found\n")[2].partition("\n### ")[0]
    lately, whole = re.findall(r"```json\n(.+?)\n```", section, re.DOTALL)
    mark, results = layout.read_whole(whole)
    assert layout.write_whole(mark, results) == whole
    read = layout.read_lately(lately)
    at = parse_instant(json.loads(lately)["at"])
    assert read == Lately(mark, {"edge-9": {"edge": False}, "edge-7": {}}, at)
    assert layout.write_lately(read) == lately


def test_the_page_lists_every_action_of_the_history() -> None:
    """Each action that an entry of history may have is named."""
    section = PAGE.read_text().partition("\n### An entry of `history`\n")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`((?:drain|node|ramp)-\w+)`", section))
    assert listed == {action.value for action in Action}


@pytest.mark.parametrize("words", sorted({words for _, words in (*faults._PASSING, *faults._LASTING)}))
def test_the_page_explains_each_line_of_the_log(words: str) -> None:
    """What the log says of a Redis is on the page, up to its advice."""
    assert words.partition(":")[0] in PAGE.read_text()


@pytest.mark.parametrize(
    "url",
    [
        "redis://dnsd:SECRET@10.0.0.5:6379/0",
        "redis://:SECRET@h1:6379,h2:6379/0",
        "redis://[2001:db8::1]",
        "rediss://h1/0?ca=ca.pem&cert=own.pem&key=own.key",
        "unix:///run/redis/redis.sock?db=1",
        "unix://:SECRET@/run/redis/redis.sock",
        "redis+sentinel://:SECRET@h1:26379,h2:26379/fleet/0?sentinel_user=u&sentinel_password=p",
    ],
)
def test_urls_of_the_forms_of_the_page_are_taken(url: str) -> None:
    """A URL of each form that the page lists names a store."""
    assert why_not(url) is None
