"""What every store does with history, reports and consumers."""

from __future__ import annotations

import pytest

from dnsd.model.state import Consumer, HistoryEntry
from dnsd.stores.base import MAX_HISTORY_PAGE, DrainStore
from tests.stores.samples import NOW, a_drain, a_report, placed, put_drain, told


async def _fill(store: DrainStore, commits: int) -> None:
    """Commit drains of edge-0 and edge-1 in turn, each with two history entries of one revision."""
    first = (await store.load()).revision
    for revision in range(first + 1, first + commits + 1):
        node = f"edge-{revision % 2}"
        await store.commit(
            expected_revision=revision - 1,
            changes=[placed(a_drain(node, revision=revision))],
            history=[told(revision, node=node, reason="one"), told(revision, node=node, reason="two")],
            at=NOW,
        )


async def _pages(store: DrainStore, *, node: str | None, limit: int) -> list[tuple[HistoryEntry, ...]]:
    pages: list[tuple[HistoryEntry, ...]] = []
    before: int | None = None
    while True:
        page, before = await store.history(node=node, before=before, limit=limit)
        pages.append(page)
        if before is None:
            return pages


async def test_history_is_newest_first(store: DrainStore) -> None:
    """The last entry comes first, and entries of one revision keep the order in which they were told."""
    await _fill(store, 2)
    entries, cursor = await store.history()
    assert [(entry.revision, entry.reason) for entry in entries] == [(2, "two"), (2, "one"), (1, "two"), (1, "one")]
    assert cursor is None


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 6), (4, [4, 2]), (5, [5, 1]), (6, [6]), (7, [6])])
async def test_pages_follow_each_other_without_gap_or_repeat(store: DrainStore, limit: int, sizes: list[int]) -> None:
    """Pages of any size, together, are the whole history, even where a page ends between two of one revision."""
    await _fill(store, 3)
    pages = await _pages(store, node=None, limit=limit)
    assert [len(page) for page in pages] == sizes
    assert tuple(entry for page in pages for entry in page) == (await store.history())[0]


async def test_history_of_one_node(store: DrainStore) -> None:
    """The filter gives this node's entries alone, and pages over them."""
    await _fill(store, 4)
    pages = await _pages(store, node="edge-1", limit=3)
    assert [[entry.revision for entry in page] for page in pages] == [[3, 3, 1], [1]]
    assert {entry.node for page in pages for entry in page} == {"edge-1"}
    assert await store.history(node="edge-9") == ((), None)


async def test_a_cursor_stays_true_while_new_entries_arrive(store: DrainStore) -> None:
    """A reader in the middle of the pages neither sees newcomers nor reads an entry twice."""
    await _fill(store, 3)
    first, cursor = await store.history(limit=3)
    await _fill(store, 3)
    rest, end = await store.history(before=cursor)
    assert [entry.revision for entry in first + rest] == [3, 3, 2, 2, 1, 1]
    assert end is None


@pytest.mark.parametrize(("before", "found"), [(-5, 0), (0, 0), (2**70, 2)])
async def test_any_integer_is_a_cursor(store: DrainStore, before: int, found: int) -> None:
    """A cursor that no page returned does no harm: it is before everything or after it."""
    await _fill(store, 1)
    assert len((await store.history(before=before))[0]) == found


@pytest.mark.parametrize("limit", [0, -1, MAX_HISTORY_PAGE + 1])
async def test_a_page_has_its_bounds(store: DrainStore, limit: int) -> None:
    """A page of no entry, or of more than the most, is refused."""
    with pytest.raises(ValueError, match="a page of history"):
        await store.history(limit=limit)


async def test_what_history_tells_comes_back_whole(store: DrainStore) -> None:
    """Every field of an entry survives, with text outside ASCII and quotes in it."""
    entry = told(1, reason='Kühlung "B"; DROP TABLE history -- \u2603')
    await store.commit(expected_revision=0, changes=[placed(a_drain(revision=1))], history=[entry], at=NOW)
    assert await store.history() == ((entry,), None)


async def test_an_older_report_is_dropped(store: DrainStore) -> None:
    """A report replaces the kept one only if its sequence is higher, in one batch as in several."""
    await store.put_reports([a_report(sequence=5), a_report("edge-2", sequence=1)])
    await store.put_reports([a_report(sequence=4), a_report("edge-2", sequence=3), a_report("edge-2", sequence=2)])
    assert (await store.load()).reports == {
        "edge-1": a_report(sequence=5),
        "edge-2": a_report("edge-2", sequence=3),
    }


async def test_a_report_of_the_same_sequence_changes_nothing(store: DrainStore) -> None:
    """A replayed sequence number with other content is dropped."""
    kept = a_report(sequence=5)
    await store.put_reports([kept])
    replay = a_report(sequence=5).to_json() | {"health": {"edge": "down"}}
    await store.put_reports([type(kept).from_json(replay)])
    assert (await store.load()).reports == {"edge-1": kept}


async def test_reports_make_no_revision(store: DrainStore) -> None:
    """Reports, heartbeats and forgotten reports leave revision, change log and history alone."""
    await put_drain(store, 0)
    await store.put_reports([a_report(sequence=1)])
    await store.heartbeat(Consumer(id="ns1", kind="dns", applied=1, applied_at=NOW, seen_at=NOW))
    await store.drop_report("edge-1")
    assert (await store.load()).revision == 1
    assert len(await store.changes(after=0)) == 1
    assert len((await store.history())[0]) == 1


async def test_a_dropped_report_may_start_over(store: DrainStore) -> None:
    """After a node's report is dropped, the next one counts whatever its sequence; dropping none is nothing."""
    await store.put_reports([a_report(sequence=9)])
    await store.drop_report("edge-1")
    await store.drop_report("edge-1")
    assert (await store.load()).reports == {}
    await store.put_reports([a_report(sequence=1)])
    assert (await store.load()).reports == {"edge-1": a_report(sequence=1)}


@pytest.mark.parametrize("sequence", [-1, 2**63])
async def test_a_sequence_beyond_what_stores_hold_is_refused(store: DrainStore, sequence: int) -> None:
    """Such a report is refused with the batch that it came in, and names its node."""
    with pytest.raises(ValueError, match="edge-2"):
        await store.put_reports([a_report(sequence=1), a_report("edge-2", sequence=sequence)])
    assert (await store.load()).reports == {}


async def test_a_consumer_is_what_it_last_said(store: DrainStore) -> None:
    """Each consumer is kept once, by id, with its last word, even one that fell back."""
    first = Consumer(id="ns2", kind="dns", applied=7, applied_at=NOW, seen_at=NOW + 0.5)
    router = Consumer(id="lb-1", kind="router", applied=6, applied_at=NOW, seen_at=NOW)
    again = Consumer(id="ns2", kind="dns", applied=3, applied_at=NOW + 2, seen_at=NOW + 2)
    for consumer in (first, router, again):
        await store.heartbeat(consumer)
    assert await store.consumers() == (router, again)
    await store.forget_consumer("ns2")
    await store.forget_consumer("nobody")
    assert await store.consumers() == (router,)
