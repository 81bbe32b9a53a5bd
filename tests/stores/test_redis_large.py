"""What is large over Redis: it has the time that it takes, and comes as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsd.stores.redis import store as redis_store
from tests.stores.redis_stores import opened
from tests.stores.samples import NOW, a_drain, a_report, placed, told
from tests.support.redis import redis_server, shared_redis

MANY = 3000


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    """Keys of the test's own in the Redis that this process's tests share."""
    return tmp_path.name


async def test_a_large_commit_has_more_time_than_a_small_one(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time grows with the changes, here and on the server's clock."""
    monkeypatch.setattr(redis_store, "ANSWER_SECONDS", 0.01)
    changes = [placed(a_drain(f"edge-{number}", revision=number)) for number in range(1, MANY + 1)]
    history = [told(number, node=f"edge-{number}") for number in range(1, MANY + 1)]
    async with opened(shared_redis().url, prefix=prefix) as store:
        assert await store.commit(expected_revision=0, changes=changes, history=history, at=NOW) == MANY
        state = await store.load()
        assert {each.node: each.revision for each in state.drains.values()} == {
            f"edge-{number}": number for number in range(1, MANY + 1)
        }


async def test_a_server_that_has_just_started_is_sent_a_large_commit_once(tmp_path: Path) -> None:
    """It does not know the script yet; it learns it before, and refuses nothing."""
    changes = [placed(a_drain(f"edge-{number}", revision=number)) for number in range(1, MANY + 1)]
    with redis_server(tmp_path / "redis") as server:
        async with opened(server.url) as store:
            await store.load()
            server.cli("config", "resetstat")
            await store.commit(expected_revision=0, changes=changes, history=[], at=NOW)
            (line,) = [each for each in server.cli("info", "commandstats").splitlines() if "evalsha" in each]
            assert "calls=1," in line
            assert line.endswith("failed_calls=0")


async def test_the_last_of_some_changes_and_of_many_are_there_in_order(prefix: str) -> None:
    """At every size around that of a packet: none is missing, and none is there twice."""
    revision = 0
    async with opened(shared_redis().url, prefix=prefix) as store:
        for size in (1, 199, 200, 201, 400, 401):
            numbers = range(revision + 1, revision + size + 1)
            changes = [placed(a_drain(f"edge-{number}", revision=number)) for number in numbers]
            history = [told(numbers[-1], node=f"edge-{number}") for number in numbers]
            revision = await store.commit(expected_revision=revision, changes=changes, history=history, at=NOW)
            assert [each.revision for each in await store.changes(after=numbers[0] - 1)] == list(numbers)
            told_of, _ = await store.history(limit=size)
            assert [each.node for each in reversed(told_of)] == [f"edge-{number}" for number in numbers]


async def test_many_reports_come_as_they_were_put(prefix: str) -> None:
    """More of them than are read on the spot."""
    reports = [a_report(f"edge-{number}", sequence=number) for number in range(MANY)]
    async with opened(shared_redis().url, prefix=prefix) as store:
        _, place = await store.reports()
        await store.put_reports(reports)
        found, _ = await store.reports(after=place)
        assert {each.node: each.sequence for each in found} == {each.node: each.sequence for each in reports}
