"""What every store does for those who must notice that it has lost writes: marks, and numbers that are skipped."""

from __future__ import annotations

import dataclasses

import pytest

from dnsd.errors import ChangesTrimmed, RevisionConflict, StoreDiverged
from dnsd.model.state import Consumer
from dnsd.stores.base import DrainStore
from tests.stores.samples import NOW, a_drain, a_node, placed, put_drain, registered, told


async def put_marked(store: DrainStore, expected_revision: int, mark: str) -> int:
    revision = expected_revision + 1
    return await store.commit(
        expected_revision=expected_revision, changes=[placed(a_drain(revision=revision))], history=[], at=NOW, mark=mark
    )


async def test_a_revision_has_the_mark_of_its_commit(store: DrainStore) -> None:
    """Each change of a commit carries its mark, and a cut that of its revision."""
    await put_marked(store, 0, "aa")
    changes = [registered(a_node()), placed(a_drain(revision=3))]
    await store.commit(expected_revision=1, changes=changes, history=[], at=NOW, mark="bb")
    assert [record.mark for record in await store.changes(after=0)] == ["aa", "bb", "bb"]
    assert (await store.load()).mark == "bb"


async def test_a_follower_that_knows_a_revision_by_its_mark_goes_on(store: DrainStore) -> None:
    """In the middle of the log and at its end."""
    await put_marked(store, 0, "aa")
    await put_marked(store, 1, "bb")
    assert [record.revision for record in await store.changes(after=1, mark="aa")] == [2]
    assert await store.changes(after=2, mark="bb") == ()


@pytest.mark.parametrize("after", [1, 2])
async def test_a_follower_that_knows_another_revision_of_that_number_is_told(store: DrainStore, after: int) -> None:
    """The same number with another mark is another history."""
    await put_marked(store, 0, "aa")
    await put_marked(store, 1, "bb")
    with pytest.raises(StoreDiverged):
        await store.changes(after=after, mark="cc")


async def test_a_follower_ahead_of_the_store_has_diverged(store: DrainStore) -> None:
    """It knows what the store has lost."""
    await put_drain(store, 0)
    with pytest.raises(StoreDiverged):
        await store.changes(after=2)


async def test_a_commit_decided_on_another_revision_of_that_number_is_refused(store: DrainStore) -> None:
    """The number agrees and the mark does not: nothing is written."""
    await put_marked(store, 0, "aa")
    for known, made in (("cc", None), ("aa", 2)):
        call = store.commit(
            expected_revision=1,
            expected_mark=known,
            changes=[placed(a_drain(revision=2))],
            history=[],
            at=NOW,
            mark="bb",
        )
        if made is None:
            with pytest.raises(RevisionConflict):
                await call
            assert (await store.load()).revision == 1
        else:
            assert await call == made


async def test_a_follower_in_a_gap_has_diverged(store: DrainStore) -> None:
    """It knows a revision of a number that was skipped; one before the gap has missed changes, and no more."""
    await put_marked(store, 0, "aa")
    await put_marked(store, 1, "bb")
    await store.commit(
        expected_revision=2, changes=[placed(a_drain(revision=10))], history=[], at=NOW, mark="cc", skip_to=9
    )
    for after, mark in ((5, "xx"), (9, "xx"), (2, "xx"), (10, "xx")):
        with pytest.raises(StoreDiverged):
            await store.changes(after=after, mark=mark)
    for after, mark in ((1, "aa"), (2, "bb")):
        with pytest.raises(ChangesTrimmed) as caught:
            await store.changes(after=after, mark=mark)
        assert not isinstance(caught.value, StoreDiverged)


async def test_numbers_can_be_skipped(store: DrainStore) -> None:
    """The changes follow the number that was skipped to, history names them, and the log has a gap before them."""
    await put_drain(store, 0)
    drain = a_drain(revision=10)
    made = await store.commit(
        expected_revision=1, changes=[placed(drain)], history=[told(10)], at=NOW, mark="aa", skip_to=9
    )
    assert made == 10
    state = await store.load()
    assert (state.revision, state.drains, state.mark) == (10, {drain.key: drain}, "aa")
    assert [record.revision for record in await store.changes(after=9)] == [10]
    assert [entry.revision for entry in (await store.history())[0]] == [10, 1]
    with pytest.raises(ChangesTrimmed) as caught:
        await store.changes(after=1)
    assert not isinstance(caught.value, StoreDiverged)
    assert await put_drain(store, 10) == 11
    assert [record.revision for record in await store.changes(after=9)] == [10, 11]


async def test_numbers_can_be_skipped_without_a_change(store: DrainStore) -> None:
    """The state stays, under the number that was skipped to."""
    await put_drain(store, 0)
    before = await store.load()
    assert await store.commit(expected_revision=1, changes=[], history=[], at=NOW, skip_to=7) == 7
    assert await store.load() == dataclasses.replace(before, revision=7)
    assert await store.changes(after=7) == ()
    assert await put_drain(store, 7) == 8
    assert [record.revision for record in await store.changes(after=7)] == [8]


async def test_skipping_is_refused_like_any_commit(store: DrainStore) -> None:
    """On another revision than the store's, or backwards, nothing is written."""
    await put_drain(store, 0)
    with pytest.raises(RevisionConflict):
        await store.commit(expected_revision=0, changes=[], history=[], at=NOW, skip_to=7)
    with pytest.raises(ValueError, match="not a revision to skip to"):
        await store.commit(expected_revision=1, changes=[], history=[], at=NOW, skip_to=0)
    assert (await store.load()).revision == 1
    assert [record.revision for record in await store.changes(after=0)] == [1]


async def test_a_consumer_of_another_history_has_applied_nothing(store: DrainStore) -> None:
    """A word with a mark counts where the store has that mark, or no longer knows it; never ahead of the store."""
    await put_marked(store, 0, "aa")
    await put_marked(store, 1, "bb")
    words = {"same": (1, "aa"), "unmarked": (9, ""), "other": (2, "cc"), "ahead": (3, "bb"), "nowhere": (0, "")}
    for name, (applied, mark) in words.items():
        consumer = Consumer(id=name, kind="router", applied=applied, applied_at=NOW, seen_at=NOW, mark=mark)
        await store.heartbeat(consumer)
    counted = {each.id: each.applied for each in await store.consumers()}
    assert counted == {"same": 1, "unmarked": 9, "other": 0, "ahead": 0, "nowhere": 0}
    await put_marked(store, 2, "bb")
    assert {each.id: each.applied for each in await store.consumers()} == counted | {"ahead": 3}


async def test_a_consumer_is_judged_by_what_the_log_still_has(store: DrainStore) -> None:
    """Behind a gap, where numbers were skipped, the number alone counts."""
    await put_marked(store, 0, "aa")
    await store.commit(
        expected_revision=1, changes=[placed(a_drain(revision=10))], history=[], at=NOW, mark="cc", skip_to=9
    )
    for name, applied, mark in (("gap", 5, "xx"), ("new", 10, "cc"), ("lost", 10, "xx")):
        consumer = Consumer(id=name, kind="router", applied=applied, applied_at=NOW, seen_at=NOW, mark=mark)
        await store.heartbeat(consumer)
    assert {each.id: each.applied for each in await store.consumers()} == {"gap": 5, "new": 10, "lost": 0}
