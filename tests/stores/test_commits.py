"""What every store does with commits: revisions, compare-and-set, all or nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from dnsd.errors import RevisionConflict, StoreUnavailable
from dnsd.model.drain import DrainKey
from dnsd.model.state import Change, Entity, FleetState, HistoryEntry
from dnsd.stores.base import DrainStore
from tests.stores.kinds import Kind
from tests.stores.samples import (
    NOW,
    a_drain,
    a_node,
    a_report,
    placed,
    put_drain,
    registered,
    released,
    removed,
    told,
)

KEY = DrainKey("edge-1", "edge", "ops")


async def test_a_new_store_is_empty(store: DrainStore) -> None:
    """A store that was never written is at revision 0 with nothing in it."""
    assert await store.load() == FleetState()
    assert await store.history() == ((), None)
    assert await store.consumers() == ()


async def test_what_is_committed_is_loaded(store: DrainStore) -> None:
    """A commit's nodes and drains come back equal, and each change has made one revision."""
    node, drain = a_node(), a_drain(revision=2)

    revision = await store.commit(
        expected_revision=0, changes=[registered(node), placed(drain)], history=[told(2)], at=NOW
    )

    assert revision == 2
    assert await store.load() == FleetState(revision=2, nodes={"edge-1": node}, drains={KEY: drain})
    assert await store.history() == ((told(2),), None)


async def test_a_value_is_replaced_and_removed(store: DrainStore) -> None:
    """A later change of the same key replaces the value, and one without a value removes it."""
    await store.commit(
        expected_revision=0, changes=[registered(a_node()), placed(a_drain(revision=2))], history=[], at=NOW
    )
    await store.commit(expected_revision=2, changes=[registered(a_node(weight=7))], history=[], at=NOW)
    assert (await store.load()).nodes == {"edge-1": a_node(weight=7)}

    await store.commit(expected_revision=3, changes=[released(KEY), removed("edge-1")], history=[], at=NOW)
    assert await store.load() == FleetState(revision=5)


async def test_removing_what_is_not_there_is_a_change(store: DrainStore) -> None:
    """The removal of an unknown key makes a revision and removes nothing."""
    assert await store.commit(expected_revision=0, changes=[removed("nobody")], history=[], at=NOW) == 1
    assert await store.load() == FleetState(revision=1)


async def test_holders_do_not_touch_each_other(store: DrainStore) -> None:
    """Two holders' drains of one node and role stand side by side, and one leaves without the other."""
    ours, theirs = a_drain(revision=1), a_drain(holder="os-update", revision=2)
    await store.commit(expected_revision=0, changes=[placed(ours), placed(theirs)], history=[], at=NOW)
    await store.commit(expected_revision=2, changes=[released(ours.key)], history=[], at=NOW)
    assert (await store.load()).drains == {theirs.key: theirs}


async def test_a_loaded_state_stays_as_it_was(store: DrainStore) -> None:
    """A cut does not change under its reader when the store goes on."""
    await put_drain(store, 0)
    before = await store.load()
    await store.commit(expected_revision=1, changes=[released(KEY)], history=[], at=NOW)
    assert before.revision == 1
    assert before.drains == {KEY: a_drain(revision=1)}


@pytest.mark.parametrize("expected", [0, 2, 2**63 - 2])
async def test_a_conflict_writes_nothing(store: DrainStore, expected: int) -> None:
    """A commit that was decided on another revision is refused, names both, and leaves no trace."""
    await put_drain(store, 0)
    before = await store.load()

    with pytest.raises(RevisionConflict) as caught:
        await put_drain(store, expected, node="edge-2")

    assert (caught.value.expected, caught.value.actual) == (expected, 1)
    assert await store.load() == before
    assert len(await store.changes(after=0)) == 1
    assert await store.history() == ((told(1),), None)


async def test_of_fifty_at_once_one_wins_each_revision(store: DrainStore) -> None:
    """Fifty writers that retry on a conflict make fifty revisions: none is lost, none is taken twice."""

    async def write(number: int) -> tuple[int, int]:
        conflicts = 0
        while True:
            revision = (await store.load()).revision
            try:
                return await put_drain(store, revision, node=f"edge-{number}"), conflicts
            except RevisionConflict:
                conflicts += 1

    outcomes = await asyncio.gather(*(write(number) for number in range(50)))

    assert sorted(revision for revision, _ in outcomes) == list(range(1, 51))
    assert len((await store.load()).drains) == 50
    assert [record.revision for record in await store.changes(after=0)] == list(range(1, 51))


async def test_of_fifty_on_one_revision_exactly_one_wins(store: DrainStore) -> None:
    """Of fifty commits that were all decided on revision 0, one is accepted and 49 conflict."""
    outcomes = await asyncio.gather(
        *(put_drain(store, 0, node=f"edge-{number}") for number in range(50)), return_exceptions=True
    )
    assert outcomes.count(1) == 1
    assert sum(isinstance(outcome, RevisionConflict) for outcome in outcomes) == 49
    assert (await store.load()).revision == 1


MIDDLES = {
    "a value under another's key": Change(Entity.DRAIN, "edge-9/edge/ops", a_drain(revision=2)),
    "a key of two parts": Change(Entity.DRAIN, "edge-1/edge", None),
    "a key with an empty part": Change(Entity.DRAIN, "edge-1//ops", None),
    "a revision that it does not make": placed(a_drain(revision=7)),
    "a node where a drain belongs": Change(Entity.DRAIN, KEY.text, a_node()),
    "a drain where a node belongs": Change(Entity.NODE, "edge-1", a_drain(revision=2)),
    "a node under another's id": Change(Entity.NODE, "edge-2", a_node("edge-1")),
    "an id with a slash": removed("edge/1"),
    "a node of the configuration": registered(dataclasses.replace(a_node(), configured=True)),
}


@pytest.mark.parametrize("middle", MIDDLES.values(), ids=MIDDLES)
async def test_a_wrong_change_in_the_middle_writes_nothing(store: DrainStore, middle: Change) -> None:
    """A commit with one change that makes no sense is refused as a whole."""
    changes = [placed(a_drain(revision=1)), middle, registered(a_node("edge-3"))]
    with pytest.raises(ValueError, match=r"key|revision|value|id|configuration"):
        await store.commit(expected_revision=0, changes=changes, history=[told(3)], at=NOW)
    assert await store.load() == FleetState()
    assert await store.changes(after=0) == ()
    assert await store.history() == ((), None)


@pytest.mark.parametrize(
    ("expected", "changes", "history", "says"),
    [
        (0, [], [], "one change or more"),
        (-1, [removed("a")], [], "-1 is not a revision"),
        (2**63 - 1, [removed("a")], [], "is not a revision"),
        (0, [removed("a")], [told(2)], "history entry of revision 2"),
        (0, [removed("a")], [told(0)], "history entry of revision 0"),
        (0, [removed("a/b"), removed("")], [], "'a/b' is not a node's id; '' is not a node's id"),
    ],
)
async def test_a_commit_that_contradicts_itself_is_refused_with_every_reason(
    store: DrainStore, expected: int, changes: list[Change], history: list[HistoryEntry], says: str
) -> None:
    """No change, no such revision, or history of another commit: a ValueError that says so."""
    with pytest.raises(ValueError, match=says):
        await store.commit(expected_revision=expected, changes=changes, history=history, at=NOW)


async def test_a_cancelled_commit_lands_whole_or_not_at_all(store: DrainStore) -> None:
    """However early the caller is cancelled, drain, change log and history agree, and the store goes on."""
    for yields in range(12):
        revision = (await store.load()).revision
        task = asyncio.create_task(put_drain(store, revision))
        for _ in range(yields):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        state = await store.load()
        assert state.revision in (revision, revision + 1)
        assert len(await store.changes(after=0)) == state.revision
        assert len((await store.history())[0]) == state.revision
    assert await put_drain(store, state.revision) == state.revision + 1


async def test_a_durable_store_is_as_it_was_when_opened_again(kind: Kind, tmp_path: Path) -> None:
    """State, change log, history and reports survive a close where the store keeps anything at all."""
    first = kind.fresh(tmp_path)
    await first.open()
    await put_drain(first, 0)
    await first.put_reports([a_report(sequence=4)])
    kept = await first.load(), await first.changes(after=0), await first.history()
    await first.close()

    second = kind.fresh(tmp_path)
    await second.open()
    found = await second.load(), await second.changes(after=0), await second.history()
    await second.close()
    assert found == (kept if kind.durable else (FleetState(), (), ((), None)))


async def test_a_store_that_is_not_open_refuses_every_call(kind: Kind, tmp_path: Path) -> None:
    """Before `open` and after `close` each call says that the store is not open; closing twice is nothing."""
    store = kind.fresh(tmp_path)
    for opened in (False, True):
        if opened:
            await store.open()
            await store.close()
            await store.close()
        for call in (store.load(), put_drain(store, 0), store.changes(after=0), store.history(), store.consumers()):
            with pytest.raises(StoreUnavailable, match="not open"):
                await call
