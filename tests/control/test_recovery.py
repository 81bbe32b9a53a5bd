"""A store that has lost writes: what is written back, and that no drain is undone and no number used twice by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.control.recovery import missing_drains, missing_nodes, new_mark, restore, union
from dnsd.errors import RevisionConflict, StoreUnavailable
from dnsd.model.drain import Drain, DrainKey, Mode
from dnsd.model.node import Node
from dnsd.model.state import Action, Change, Entity, FleetState
from dnsd.stores.memory import MemoryStore
from tests.control.rig import BreakableStore, Site, site_of
from tests.support.fleets import NOW, drain, drains, node

_some_drains = st.lists(st.sampled_from(("a", "b")).flatmap(drains), max_size=6)


def state_of(orders: Iterable[Drain], *, revision: int = 0) -> FleetState:
    return FleetState(revision=revision, drains={each.key: each for each in orders})


async def store_of(state: FleetState) -> MemoryStore:
    """Return a store that holds a state, at its revision."""
    store = BreakableStore()
    await store.open()
    values: list[Drain | Node] = [*state.drains.values(), *state.nodes.values()]
    base = max(0, state.revision - len(values))
    changes = []
    for revision, value in enumerate(values, base + 1):
        if isinstance(value, Drain):
            changes.append(Change(Entity.DRAIN, value.key.text, dataclasses.replace(value, revision=revision)))
        else:
            changes.append(Change(Entity.NODE, value.id, value))
    await store.commit(expected_revision=0, changes=changes, history=[], at=NOW, mark=new_mark(), skip_to=base)
    return store


def mode_at(state: FleetState, key: DrainKey, now: float) -> Mode:
    found = state.drains.get(key)
    return found.mode if found is not None and found.active(now) else Mode.NORMAL


@given(known=_some_drains, found=_some_drains)
def test_after_it_each_drain_holds_at_least_as_long_and_as_much(known: list[Drain], found: list[Drain]) -> None:
    """At every instant from now on, a key's mode is no weaker than either state had it."""
    before, there = state_of(known), state_of(found)
    written = missing_drains(before, there, now=NOW)
    after = state_of([*there.drains.values(), *written])
    for key in before.drains.keys() | there.drains.keys():
        for seconds in range(-1, 130):
            now = NOW + max(0, seconds)
            either = max(mode_at(before, key, now), mode_at(there, key, now))
            assert mode_at(after, key, now) >= either


@given(known=_some_drains, found=_some_drains)
def test_it_is_done_once(known: list[Drain], found: list[Drain]) -> None:
    """What has been written back is not missed again, by the same server or by one that knew the same."""
    before, there = state_of(known), state_of(found)
    after = state_of([*there.drains.values(), *missing_drains(before, there, now=NOW)])
    assert missing_drains(before, after, now=NOW) == ()


@given(orders=_some_drains)
def test_nothing_is_missing_where_nothing_was_lost(orders: list[Drain]) -> None:
    """A store that has what is known gets nothing."""
    assert missing_drains(state_of(orders), state_of(orders), now=NOW) == ()


def test_a_drain_whose_time_is_over_and_a_ramp_are_not_missed() -> None:
    """Neither keeps a node out."""
    known = state_of([drain("a", expires_at=NOW), drain("b", mode=Mode.NORMAL, expires_at=NOW + 60)])
    assert missing_drains(known, state_of([]), now=NOW) == ()


def test_the_parts_that_keep_a_node_out_more_are_joined() -> None:
    """Maintenance from now to one o'clock beside draining until five: maintenance until five."""
    known = drain("a", mode=Mode.MAINTENANCE, starts_at=NOW, expires_at=NOW + 60, reason="ours")
    found = drain("a", starts_at=NOW + 30, expires_at=NOW + 300, reason="theirs")
    (joined,) = missing_drains(state_of([known]), state_of([found]), now=NOW)
    assert joined == dataclasses.replace(known, expires_at=NOW + 300)


def test_a_release_that_was_lost_is_to_be_asked_for_again() -> None:
    """The store has a drain that this server saw released: it stays."""
    assert missing_drains(state_of([]), state_of([drain("a")]), now=NOW) == ()


def test_nodes_come_back_as_they_were_known() -> None:
    """One that is gone, and one that is older in the store; where the store is further, its own word counts."""
    known = FleetState(revision=9, nodes={"a": node("a", "192.0.2.1"), "b": node("b", "192.0.2.2")})
    older = FleetState(revision=5, nodes={"b": node("b", "192.0.2.99"), "c": node("c", "192.0.2.3")})
    assert missing_nodes(known, older) == (known.nodes["a"], known.nodes["b"])
    assert missing_nodes(known, dataclasses.replace(older, revision=10)) == (known.nodes["a"],)


async def test_what_is_written_back_follows_every_number_that_was_used() -> None:
    """Revisions go on after the known one, and history tells what came back, and as what."""
    store = await store_of(state_of([drain("b")], revision=5))
    known = dataclasses.replace(state_of([drain("a")], revision=9), nodes={"n": node("n", "192.0.2.1")})
    restoration = await restore(store, known, now=NOW)
    assert (restoration.lost_from, restoration.lost_to, restoration.state.revision) == (5, 9, 11)
    assert {(key.node, each.revision) for key, each in restoration.state.drains.items()} == {("a", 10), ("b", 5)}
    entries, _ = await store.history()
    assert [(each.action, each.node, each.actor, each.revision) for each in entries] == [
        (Action.NODE_RESTORED, "n", "dnsd", 11),
        (Action.DRAIN_RESTORED, "a", "dnsd", 11),
    ]


async def test_where_nothing_is_missing_the_numbers_are_still_skipped() -> None:
    """A revision that was used before the loss is not used again."""
    store = await store_of(state_of([drain("a")], revision=5))
    restoration = await restore(store, state_of([drain("a")], revision=9), now=NOW)
    assert (restoration.drains, restoration.state.revision) == ((), 9)
    assert await store.history() == ((), None)


async def test_a_store_that_has_gone_on_keeps_its_numbers() -> None:
    """Nothing is missing and it is further: it is taken as it is."""
    store = await store_of(state_of([drain("a"), drain("b")], revision=12))
    restoration = await restore(store, state_of([drain("a")], revision=9), now=NOW)
    assert restoration.state.revision == 12


class BusyStore(BreakableStore):
    """A store that others always change first."""

    async def commit(self, **options: object) -> int:
        raise RevisionConflict(expected=0, actual=1)


async def test_a_store_that_others_always_change_is_given_up() -> None:
    """After its attempts it is an outage, not a loop."""
    store = BusyStore()
    await store.open()
    with pytest.raises(StoreUnavailable, match="times in a row"):
        await restore(store, state_of([drain("a")], revision=1), now=NOW)


# --- two servers over a store that is replaced by an older copy ------------------------------------------------------


async def copy_of(store: MemoryStore) -> MemoryStore:
    """Return a store as a backup would hold it: state and marks, at the same revision."""
    older = MemoryStore()
    await older.open()
    for record in await store.changes(after=0):
        await older.commit(
            expected_revision=record.revision - 1, changes=[record.change], history=[], at=record.at, mark=record.mark
        )
    return older


def serve_from(store: MemoryStore, *sites: Site) -> None:
    """Put another store in the place of the one that sites use."""
    for site in sites:
        site.plane._follower._store = store
        site.plane._drains._writer._store = store
        site.plane._consumers._store = store
        site.plane.store = store


async def test_two_servers_that_knew_differently_lose_nothing_between_them() -> None:
    """One knew more than the other: whoever comes first, all that either knew is in force in the end on both."""
    for order in (0, 1):
        store = MemoryStore()
        await store.open()
        first, second = await site_of(store=store), await site_of(store=store, server_id="ns2")
        backup = await copy_of(store)
        await first.drain("a")
        await second.hear()
        await first.drain("b")  # the second one never hears of it
        serve_from(backup, first, second)
        for site in ((first, second), (second, first))[order]:
            await site.hear()
        await first.hear()
        await second.hear()
        for site in (first, second):
            assert {each.node for each in site.plane.drains()} == {"a", "b"}
            assert site.plane.revision == (await backup.load()).revision > 2


async def test_a_write_that_was_decided_on_a_lost_revision_of_that_number_is_decided_anew() -> None:
    """The store came to the same number another way: refused, then what was lost comes back, then it lands."""
    store = MemoryStore()
    await store.open()
    first = await site_of(store=store)
    backup = await copy_of(store)
    await first.drain("a")
    other = await site_of(store=backup, server_id="ns2")
    await other.drain("b")
    serve_from(backup, first)
    assert first.plane.revision == other.plane.revision == 1
    outcome = await first.drain("c", force=True)
    assert outcome.changed is True
    await other.hear()
    for site in (first, other):
        assert {each.node for each in site.plane.drains()} == {"a", "b", "c"}
    assert len({each.revision for each in (await backup.load()).drains.values()}) == 3


async def test_a_loss_is_logged_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """One line with what came back; listeners begin anew and then hear of it."""
    store = MemoryStore()
    await store.open()
    site = await site_of(store=store)
    backup = await copy_of(store)
    await site.drain("a")
    serve_from(backup, site)
    await site.hear()
    assert site.plane.store_health.divergences == 1
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert line == "the store had lost writes: it was found at revision 0 where 1 was known; written back: a/*/alice"
    (event,) = site.plane.hub._kept
    assert (event.type, event.detail) == (
        "store-diverged",
        {"found": 0, "known": 1, "drains": ["a/*/alice"], "nodes": []},
    )


@given(known=_some_drains, found=_some_drains)
def test_what_is_served_meanwhile_is_what_will_be_written(known: list[Drain], found: list[Drain]) -> None:
    """No key is in a weaker mode than either state has it, before the store has it as after."""
    before, there = state_of(known, revision=9), state_of(found)
    both = union(before, there, now=NOW)
    assert (both.revision, both.mark) == (before.revision, before.mark)
    for key in before.drains.keys() | there.drains.keys():
        for seconds in range(0, 130, 3):
            either = max(mode_at(before, key, NOW + seconds), mode_at(there, key, NOW + seconds))
            assert mode_at(both, key, NOW + seconds) >= either


async def test_a_store_that_takes_no_writes_has_its_drains_served_beside_ours() -> None:
    """Both are in force while it cannot be completed, and once it is."""
    store = MemoryStore()
    await store.open()
    site = await site_of(store=store)
    await site.drain("a")
    other = BreakableStore()
    await other.open()
    theirs = await site_of(store=other, server_id="ns2")
    await theirs.drain("b")
    other.writes_fail = True
    serve_from(other, site)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await site.hear()
        assert {each.node for each in site.plane.drains()} == {"a", "b"}
    other.writes_fail = False
    await site.hear()
    assert {each.node for each in site.plane.drains()} == {"a", "b"}
    assert {key.node for key in (await other.load()).drains} == {"a", "b"}
    assert site.plane.store_health.divergences == 1
