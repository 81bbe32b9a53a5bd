"""What every store does for those who follow its changes."""

from __future__ import annotations

import asyncio
import time

import pytest

from dnsd.errors import ChangesTrimmed, StoreUnavailable
from dnsd.model.state import ChangeRecord
from dnsd.stores.base import DrainStore
from tests.stores.samples import NOW, a_drain, a_node, placed, put_drain, registered, released

# A wait that a test never means to run out.
LONG_SECONDS = 20.0


async def test_changes_come_in_order_with_their_values(store: DrainStore) -> None:
    """Each change of each commit is one record: revision, instant of acceptance, and what it is now."""
    drain = a_drain(revision=2)
    await store.commit(expected_revision=0, changes=[registered(a_node()), placed(drain)], history=[], at=NOW)
    await store.commit(expected_revision=2, changes=[released(drain.key)], history=[], at=NOW + 1)

    assert await store.changes(after=0) == (
        ChangeRecord(1, NOW, registered(a_node())),
        ChangeRecord(2, NOW, placed(drain)),
        ChangeRecord(3, NOW + 1, released(drain.key)),
    )


async def test_a_follower_reads_from_where_it_is(store: DrainStore) -> None:
    """`after` skips what the follower has, `limit` bounds the batch, and at the end there is nothing."""
    for revision in range(5):
        await put_drain(store, revision)
    assert [record.revision for record in await store.changes(after=1, limit=2)] == [2, 3]
    assert [record.revision for record in await store.changes(after=3, limit=9)] == [4, 5]
    assert await store.changes(after=5) == ()


async def test_a_waiting_follower_is_woken_at_once(store: DrainStore) -> None:
    """A commit reaches those who wait long before their time is over, all of them."""
    waiting = [asyncio.create_task(store.changes(after=0, wait_seconds=LONG_SECONDS)) for _ in range(5)]
    await asyncio.sleep(0)
    begun = time.monotonic()
    await put_drain(store, 0)
    batches = await asyncio.gather(*waiting)

    assert [[record.revision for record in batch] for batch in batches] == [[1]] * 5
    assert time.monotonic() - begun < LONG_SECONDS / 4


async def test_no_change_is_missed_between_two_waits(store: DrainStore) -> None:
    """A follower that asks again and again sees each of 40 revisions once and in order."""

    async def follow() -> list[int]:
        seen: list[int] = []
        while len(seen) < 40:
            batch = await store.changes(after=seen[-1] if seen else 0, limit=3, wait_seconds=LONG_SECONDS)
            seen += [record.revision for record in batch]
        return seen

    follower = asyncio.create_task(follow())
    for revision in range(40):
        await put_drain(store, revision)
    assert await follower == list(range(1, 41))


async def test_a_wait_runs_out_empty(store: DrainStore) -> None:
    """Where no change comes, the wait ends after its time, not before, with nothing."""
    begun = time.monotonic()
    assert await store.changes(after=0, wait_seconds=0.12) == ()
    assert 0.11 <= time.monotonic() - begun < LONG_SECONDS


async def test_a_follower_that_lags_too_far_is_told(short_store: DrainStore) -> None:
    """With a log of three entries, revision 2 of 5 can still be followed and revision 1 cannot."""
    for revision in range(5):
        await put_drain(short_store, revision)
    assert [record.revision for record in await short_store.changes(after=2)] == [3, 4, 5]
    for after in (1, 0, -1):
        with pytest.raises(ChangesTrimmed):
            await short_store.changes(after=after)
    assert len((await short_store.history())[0]) == 5  # history is not trimmed with the log


async def test_a_commit_larger_than_the_log_is_kept_in_part(short_store: DrainStore) -> None:
    """One commit of five changes leaves the last three in a log of three."""
    changes = [registered(a_node(f"edge-{number}")) for number in range(5)]
    await short_store.commit(expected_revision=0, changes=changes, history=[], at=NOW)
    assert [record.revision for record in await short_store.changes(after=2)] == [3, 4, 5]
    with pytest.raises(ChangesTrimmed):
        await short_store.changes(after=1)


@pytest.mark.parametrize("ahead", [2, 2**70])
async def test_a_follower_ahead_of_the_store_is_told(store: DrainStore, ahead: int) -> None:
    """A store replaced by an older copy does not leave its followers waiting for ever."""
    await put_drain(store, 0)
    with pytest.raises(ChangesTrimmed):
        await store.changes(after=ahead, wait_seconds=LONG_SECONDS)


async def test_closing_ends_a_wait(store: DrainStore) -> None:
    """A follower that waits learns at once that the store was closed."""
    waiting = asyncio.create_task(store.changes(after=0, wait_seconds=LONG_SECONDS))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await waiting
