"""What the Redis store does beyond the common suite: several at one Redis, replicas, bounds, one that was flushed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from dnsd.control.recovery import restore
from dnsd.errors import ChangesTrimmed, NotReplicated, RevisionConflict, RevisionLost, StoreDiverged
from dnsd.model.state import Consumer
from dnsd.stores.redis import confirming, layout
from dnsd.stores.redis.confirming import REPLICA_SECONDS
from dnsd.stores.redis.store import RedisStore
from tests.stores.redis_stores import opened
from tests.stores.samples import NOW, a_drain, a_node, a_report, placed, put_drain, told
from tests.support.redis import redis_server, shared_redis
from tests.support.servers import wait_until

LONG_SECONDS = 20.0


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    """Keys of the test's own in the Redis that this process's tests share."""
    return tmp_path.name


async def test_of_two_servers_one_wins_each_revision(prefix: str) -> None:
    """Writers at two connections make sixty revisions between them, none twice."""

    async def write(store: RedisStore, number: int) -> int:
        while True:
            revision = (await store.load()).revision
            try:
                return await put_drain(store, revision, node=f"edge-{number}")
            except RevisionConflict:
                continue

    url = shared_redis().url
    async with opened(url, prefix=prefix) as one, opened(url, prefix=prefix) as two:
        won = await asyncio.gather(*(write((one, two)[number % 2], number) for number in range(60)))
        assert sorted(won) == list(range(1, 61))
        assert [record.revision for record in await one.changes(after=0)] == list(range(1, 61))
        assert await one.load() == await two.load()


async def test_what_one_server_writes_wakes_the_other(prefix: str) -> None:
    """Changes, reports and progress, each at once."""
    url = shared_redis().url
    async with opened(url, prefix=prefix) as one, opened(url, prefix=prefix) as two:
        _, place = await two.reports()
        changes = asyncio.create_task(two.changes(after=0, wait_seconds=LONG_SECONDS))
        reports = asyncio.create_task(two.reports(after=place, wait_seconds=LONG_SECONDS))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await put_drain(one, 0)
        assert [record.revision for record in await changes] == [1]
        await one.put_reports([a_report(sequence=1)])
        assert [each.sequence for each in (await reports)[0]] == [1]
        assert time.monotonic() - began < LONG_SECONDS / 4


async def test_a_consumer_of_a_lost_history_has_applied_nothing(prefix: str) -> None:
    """The number is there, with another mark; one of this history, and one that does not say, have applied it."""

    def consumer(name: str, applied: int, mark: str) -> Consumer:
        return Consumer(id=name, kind="dns", applied=applied, applied_at=NOW, seen_at=NOW, mark=mark)

    async with opened(shared_redis().url, prefix=prefix) as store:
        for revision, mark in ((1, "aa"), (2, "bb")):
            drain = placed(a_drain(revision=revision))
            await store.commit(expected_revision=revision - 1, changes=[drain], history=[], at=NOW, mark=mark)
        for name, applied, mark in (
            ("same", 2, "bb"),
            ("behind", 1, "aa"),
            ("silent", 2, ""),
            ("other", 2, "xx"),
            ("further", 3, "cc"),
        ):
            await store.heartbeat(consumer(name, applied, mark))
        found = {each.id: each.applied for each in await store.consumers()}
        assert found == {"same": 2, "behind": 1, "silent": 2, "other": 0, "further": 0}


async def test_history_is_bounded(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest entries go, for all and for each node; what is left pages as before."""
    monkeypatch.setattr(layout, "HISTORY_KEPT", 5)
    server = shared_redis()
    async with opened(server.url, prefix=prefix) as store:
        for revision in range(1, 9):
            node = f"edge-{revision % 2}"
            entries = [told(revision, node=node, reason=word) for word in ("one", "two")]
            change = placed(a_drain(node, revision=revision))
            await store.commit(expected_revision=revision - 1, changes=[change], history=entries, at=NOW)
        assert [(each.revision, each.reason) for each in (await store.history())[0]] == [
            (8, "two"), (8, "one"), (7, "two"), (7, "one"), (6, "two"),
        ]  # fmt: skip
        page, cursor = await store.history(node="edge-0", limit=2)
        assert [(each.revision, each.reason) for each in page] == [(8, "two"), (8, "one")]
        page, cursor = await store.history(node="edge-0", limit=2, before=cursor)
        assert ([(each.revision, each.reason) for each in page], cursor) == ([(6, "two")], None)
        assert server.cli("zcard", f"{{{prefix}}}:history-of-nodes") == "5"


async def test_history_goes_on_where_keys_were_removed_by_hand(prefix: str) -> None:
    """The history stream is further than the revision: nothing is written in part, and nothing is lost of it."""
    server = shared_redis()
    async with opened(server.url, prefix=prefix) as store:
        for revision in range(3):
            await put_drain(store, revision)
        for key in ("revision", "changes", "drains"):
            server.cli("del", f"{{{prefix}}}:{key}")
        await put_drain(store, 0, node="edge-2")
        entries, _ = await store.history()
        assert [each.node for each in entries] == ["edge-2", "edge-1", "edge-1", "edge-1"]
        assert [each.node for each in (await store.history(node="edge-2"))[0]] == ["edge-2"]
        assert len(await store.changes(after=0)) == 1


async def test_a_flushed_server_is_noticed_by_whoever_waits(prefix: str) -> None:
    """Before its time is over."""
    server = shared_redis()
    async with opened(server.url, prefix=prefix) as store:
        await put_drain(store, 0)
        waiting = asyncio.create_task(store.changes(after=1, wait_seconds=LONG_SECONDS))
        await asyncio.sleep(0.05)
        for key in server.cli("keys", f"{{{prefix}}}:*").splitlines():
            server.cli("del", key)
        began = time.monotonic()
        with pytest.raises(StoreDiverged):
            await waiting
        assert time.monotonic() - began < LONG_SECONDS / 4


async def test_a_change_stream_that_was_emptied_is_a_reload_and_no_more(prefix: str) -> None:
    """A follower that is at the revision goes on; one that is behind loads; nobody loads for ever."""
    server = shared_redis()
    async with opened(server.url, prefix=prefix) as store:
        for revision, mark in ((1, "aa"), (2, "bb")):
            drain = placed(a_drain(revision=revision))
            await store.commit(expected_revision=revision - 1, changes=[drain], history=[], at=NOW, mark=mark)
        server.cli("xtrim", f"{{{prefix}}}:changes", "MAXLEN", "0")
        assert await store.changes(after=2, mark="bb") == ()
        with pytest.raises(ChangesTrimmed):
            await store.changes(after=1, mark="aa")
        assert (await store.load()).mark == ""
        assert await store.changes(after=2) == ()


async def test_large_numbers_and_many_changes_are_exact(prefix: str) -> None:
    """Revisions beyond what a number of Lua holds, and a commit of thousands of changes."""
    base = 2**60
    async with opened(shared_redis().url, prefix=prefix) as store:
        changes = [placed(a_drain(f"edge-{number}", revision=base + number)) for number in range(1, 3001)]
        made = await store.commit(expected_revision=0, changes=changes, history=[], at=NOW, skip_to=base, mark="aa")
        assert made == base + 3000
        state = await store.load()
        assert (state.revision, len(state.drains), state.mark) == (made, 3000, "aa")
        assert [each.revision for each in await store.changes(after=made - 2)] == [made - 1, made]
        await store.put_reports([a_report(sequence=2**63 - 2)])
        await store.put_reports([a_report(sequence=2**63 - 1)])
        await store.put_reports([a_report(sequence=2**62)])
        assert (await store.load()).reports["edge-1"].sequence == 2**63 - 1


async def test_what_the_configuration_declares_is_told_to_readers(prefix: str) -> None:
    """As one value, the last one that a server told; that nobody has told is another thing than that there are none."""
    server = shared_redis()
    async with opened(server.url, prefix=prefix) as store:
        assert await store.configured() is None
        for weight in (1, 2):
            await store.tell_configured([a_node(weight=weight)], server="ns1", at=NOW)
        text = server.cli("get", f"{{{prefix}}}:configured")
        assert '"server":"ns1"' in text
        assert '"weight":2' in text
        assert await store.configured() == (a_node(weight=2),)
        assert (await store.load()).nodes == {}
        await store.tell_configured([], server="ns1", at=NOW)
        assert await store.configured() == ()


async def test_what_stands_waits_for_its_replicas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Confirmed only where as many have it as were asked for, however many ask; others do not wait with them."""
    with redis_server(tmp_path / "a") as primary, redis_server(tmp_path / "b", replica_of=primary) as replica:
        wait_until(lambda: "state=online" in primary.cli("info", "replication"), "the replica is in step")
        async with opened(primary.url, min_replicas=1) as store:
            await store.confirm(revision=await put_drain(store, 0))
            assert replica.cli("get", "{dnsd}:revision") == "1"
            replica.pause()
            first = asyncio.create_task(store.confirm(revision=await put_drain(store, 1)))
            await asyncio.sleep(0.1)
            assert (await store.load()).revision == 2
            assert not first.done()
            replica.resume()
            await first
            replica.pause()
            with monkeypatch.context() as hurried:
                hurried.setattr(confirming, "REPLICA_SECONDS", REPLICA_SECONDS)
                began = time.monotonic()
                waiting = [asyncio.create_task(store.confirm(revision=await put_drain(store, 2)))]
                await asyncio.sleep(0.1)
                waiting += [
                    asyncio.create_task(store.confirm(revision=await put_drain(store, at))) for at in range(3, 13)
                ]
                for each in await asyncio.gather(*waiting, return_exceptions=True):
                    assert isinstance(each, NotReplicated)
                    assert "it is written, but 0 of 1 replicas have it after 1 s" in str(each)
                assert time.monotonic() - began < 8 * REPLICA_SECONDS  # two waits, not eleven
            replica.resume()
            await store.confirm(revision=13)
            assert replica.cli("get", "{dnsd}:revision") == "13"


async def test_another_server_confirms_only_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the next primary lacks, or has under another mark, is not confirmed by it, however many replicas it has."""
    monkeypatch.setattr(confirming, "REPLICA_SECONDS", LONG_SECONDS)
    with redis_server(tmp_path / "a") as primary, redis_server(tmp_path / "b", replica_of=primary):
        wait_until(lambda: "state=online" in primary.cli("info", "replication"), "the replica is in step")
        async with opened(primary.url, min_replicas=1) as store:
            await store.commit(
                expected_revision=0, changes=[placed(a_drain(revision=1))], history=[told(1)], at=NOW, mark="ours"
            )
            await store.confirm(revision=1, mark="ours")
            for revision, mark in ((1, "theirs"), (2, ""), (2, "ours")):
                with pytest.raises(RevisionLost, match=rf"it has lost revision {revision}: try again"):
                    await store.confirm(revision=revision, mark=mark)
            await store.confirm(revision=1)


async def test_closing_lets_a_write_land_first(prefix: str) -> None:
    """What was begun is finished."""
    url = shared_redis().url
    async with opened(url, prefix=prefix) as store:
        write = asyncio.create_task(put_drain(store, 0))
        await asyncio.sleep(0)
        await store.close()
        assert await write == 1
    async with opened(url, prefix=prefix) as again:
        assert (await again.load()).revision == 1


async def test_a_restoration_larger_than_the_log_hides_no_loss(prefix: str) -> None:
    """Who knows more than the server that wrote back first is told so, though the entry of its place is gone."""
    url = shared_redis().url
    async with opened(url, prefix=prefix) as store:
        for revision in range(3):
            await put_drain(store, revision, node=f"edge-{revision}")
        behind = await store.load()
        await store.commit(
            expected_revision=3, changes=[placed(a_drain("late", revision=4))], history=[], at=NOW, mark="theirs"
        )
        ahead = await store.load()
        shared_redis().cli("flushdb")
    async with opened(url, prefix=prefix) as store:
        store._changes_kept = 2
        restoration = await restore(store, behind, now=NOW)
        assert (restoration.state.revision, len(restoration.drains)) == (6, 3)
        with pytest.raises(StoreDiverged, match="another revision 4 was written back after it was lost"):
            await store.changes(after=ahead.revision, mark=ahead.mark)
        joined = await restore(store, ahead, now=NOW)
        assert [drain.node for drain in joined.drains] == ["late"]
        assert {drain.node for drain in joined.state.drains.values()} == {"edge-0", "edge-1", "edge-2", "late"}
        assert await store.changes(after=joined.state.revision, mark=joined.state.mark) == ()


async def test_a_log_that_was_cut_stands_in_the_way_of_no_confirmation(tmp_path: Path) -> None:
    """What it no longer holds is there all the same, as for those who follow."""
    with redis_server(tmp_path / "a") as primary, redis_server(tmp_path / "b", replica_of=primary):
        wait_until(lambda: "state=online" in primary.cli("info", "replication"), "the replica is in step")
        async with opened(primary.url, min_replicas=1) as store:
            await store.commit(
                expected_revision=0, changes=[placed(a_drain(revision=1))], history=[], at=NOW, mark="ours"
            )
            primary.cli("xtrim", "{dnsd}:changes", "maxlen", "0")
            await store.confirm(revision=1, mark="ours")
            with pytest.raises(RevisionLost):
                await store.confirm(revision=2, mark="ours")
