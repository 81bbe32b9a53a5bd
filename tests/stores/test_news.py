"""What every store tells those who wait for reports and for consumers, and that what stands can be confirmed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from dnsd.errors import StoreUnavailable
from dnsd.model.state import Consumer
from dnsd.stores import base
from dnsd.stores.base import DrainStore
from dnsd.stores.sqlite import SqliteStore
from tests.stores.samples import NOW, a_report, put_drain
from tests.stores.test_following import LONG_SECONDS
from tests.support.servers import PATIENCE_SECONDS

AN_HOUR_SECONDS = 3600.0


def ns2(applied: int) -> Consumer:
    return Consumer(id="ns2", kind="dns", applied=applied, applied_at=NOW, seen_at=NOW + applied)


def does_not_look(store: DrainStore) -> None:
    """Have those who wait at a file depend on what wakes them, and not on their looks for other processes."""
    if isinstance(store, SqliteStore):
        store._poll_seconds = AN_HOUR_SECONDS


async def test_reports_follow_a_place(store: DrainStore) -> None:
    """From before the first one everything; then the last word of each node that has reported since, once."""
    await store.put_reports([a_report(sequence=1)])
    everything, place = await store.reports()
    assert [each.sequence for each in everything] == [1]
    await store.put_reports([a_report(sequence=2), a_report("edge-2", sequence=1)])
    await store.put_reports([a_report(sequence=3)])
    found, then = await store.reports(after=place)
    assert {each.node: each.sequence for each in found} == {"edge-1": 3, "edge-2": 1}
    assert (await store.reports(after=then))[0] == ()


async def test_a_report_that_is_dropped_is_no_news(store: DrainStore) -> None:
    """An old sequence, and the report of a node that was forgotten since."""
    await store.put_reports([a_report(sequence=5)])
    _, place = await store.reports()
    await store.put_reports([a_report(sequence=4)])
    assert (await store.reports(after=place))[0] == ()
    await store.put_reports([a_report(sequence=6)])
    await store.drop_report("edge-1")
    assert (await store.reports(after=place))[0] == ()


async def test_reports_that_a_caller_has_already_may_be_left_out(store: DrainStore) -> None:
    """What is newer, or of a node that he has nothing of, is there; and the place moves past all of them."""
    _, place = await store.reports()
    await store.put_reports([a_report(name, sequence=5) for name in ("edge-1", "edge-2", "edge-3")])
    has = {"edge-1": 5, "edge-2": 4}
    found, then = await store.reports(after=place, known=has.get)
    assert {each.node for each in found} >= {"edge-2", "edge-3"}
    assert await store.reports(after=then, known=has.get) == ((), then)


async def test_whoever_waits_for_reports_is_woken(store: DrainStore) -> None:
    """At once or soon, long before the time is over."""
    _, place = await store.reports()
    waiting = asyncio.create_task(store.reports(after=place, wait_seconds=LONG_SECONDS))
    await asyncio.sleep(0)
    begun = time.monotonic()
    await store.put_reports([a_report(sequence=1)])
    assert [each.sequence for each in (await waiting)[0]] == [1]
    assert time.monotonic() - begun < LONG_SECONDS / 4


async def test_a_place_that_is_no_longer_known_leads_to_every_report(
    store: DrainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More batches than are kept, here as many as Redis keeps: nothing is missed."""
    monkeypatch.setattr("dnsd.stores.sqlite_statements.REPORTED_NODES_KEPT", base.REPORTS_KEPT)
    _, place = await store.reports()
    for sequence in range(base.REPORTS_KEPT + 10):
        await store.put_reports([a_report(f"edge-{sequence % 3}", sequence=sequence)])
    found, then = await store.reports(after=place)
    assert {each.node for each in found} == {"edge-0", "edge-1", "edge-2"}
    assert (await store.reports(after=then))[0] == ()


async def test_whoever_waits_for_a_consumer_is_woken(store: DrainStore) -> None:
    """While they are what the caller has, the call waits; it returns with the first that says more."""
    await store.heartbeat(ns2(1))
    before = await store.consumers()
    waiting = asyncio.create_task(store.consumers(unlike=before, wait_seconds=LONG_SECONDS))
    await asyncio.sleep(0)
    begun = time.monotonic()
    await store.heartbeat(ns2(2))
    assert await waiting == (ns2(2),)
    assert time.monotonic() - begun < LONG_SECONDS / 4


async def test_a_sign_of_life_alone_ends_no_wait_for_consumers(store: DrainStore) -> None:
    """It is read with what there is when the time is over."""
    await store.heartbeat(ns2(1))
    before = await store.consumers()
    waiting = asyncio.create_task(store.consumers(unlike=before, wait_seconds=LONG_SECONDS))
    await asyncio.sleep(0.01)
    alive = replace(ns2(1), seen_at=NOW + 9)
    await store.heartbeat(alive)
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await store.heartbeat(ns2(2))
    assert await waiting == (ns2(2),)
    await store.heartbeat(replace(ns2(2), seen_at=NOW + 10))
    before, after = await store.consumers(), replace(ns2(2), seen_at=NOW + 11)
    await store.heartbeat(after)
    assert await store.consumers(unlike=before, wait_seconds=0.05) == (after,)


async def test_a_wait_for_consumers_runs_out(store: DrainStore) -> None:
    """With what there is."""
    await store.heartbeat(ns2(1))
    assert await store.consumers(unlike=(ns2(1),), wait_seconds=0.05) == (ns2(1),)


async def test_whoever_waits_for_a_consumer_is_told_that_it_has_gone(store: DrainStore) -> None:
    """Nobody waits out the time for one that has said goodbye."""
    await store.heartbeat(ns2(1))
    does_not_look(store)
    waiting = asyncio.create_task(store.consumers(unlike=(ns2(1),), wait_seconds=AN_HOUR_SECONDS))
    await asyncio.sleep(0)
    await store.forget_consumer("ns2")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await waiting == ()


async def test_consumers_that_are_other_than_the_callers_are_no_wait(store: DrainStore) -> None:
    """What came in before the call is news as well."""
    await store.heartbeat(ns2(2))
    assert await store.consumers(unlike=(ns2(1),), wait_seconds=LONG_SECONDS) == (ns2(2),)


async def test_what_stands_can_be_confirmed(store: DrainStore) -> None:
    """Where the store has nothing more to wait for, at once; on a store that is closed, never."""
    await put_drain(store, 0)
    await store.confirm(revision=1)
    await store.close()
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.confirm(revision=1)


async def test_a_consumer_is_told_whether_it_was_known(store: DrainStore) -> None:
    """Its first word, and the first after it was forgotten, make it known."""
    assert [await store.heartbeat(ns2(applied)) for applied in (1, 2)] == [False, True]
    await store.forget_consumer("ns2")
    assert await store.heartbeat(ns2(3)) is False


async def test_several_consumers_are_kept_in_one_step(store: DrainStore) -> None:
    """With the last word of each; whoever waits is told where one of them says more."""
    await store.heartbeats(())
    await store.heartbeat(ns2(1))
    does_not_look(store)
    waiting = asyncio.create_task(store.consumers(unlike=(ns2(1),), wait_seconds=AN_HOUR_SECONDS))
    await asyncio.sleep(0)
    ns3 = replace(ns2(7), id="ns3")
    await store.heartbeats((replace(ns2(1), seen_at=NOW + 9), ns3))
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await waiting == await store.consumers() == (replace(ns2(1), seen_at=NOW + 9), ns3)
