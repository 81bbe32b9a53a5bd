"""Drains against the guard, as the service decides them: dry runs, force, and what the history says of both."""

from __future__ import annotations

from typing import Any

import pytest

from dnsd.api.schemas import DrainOutcome
from dnsd.errors import CapacityFloor, InvalidRequest
from dnsd.model.pool import Floor, WhenEmpty
from dnsd.model.state import Action
from dnsd.model.times import format_instant
from tests.admin.site import Site as Http
from tests.control.rig import EDGE, Site, site_of
from tests.support.fleets import pool

GUARDED = (pool(floor=Floor.of(2)),)


async def verdict(site: Site, name: str, **fields: Any) -> tuple[str, Any]:
    """Return what becomes of an order, and the table that tells why."""
    try:
        outcome = await site.drain(name, **fields)
    except CapacityFloor as refusal:
        return str(refusal), refusal.impact
    assert isinstance(outcome, DrainOutcome)
    return "placed", [each.model_dump() for each in outcome.impact]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("others", [0, 1])
async def test_a_dry_run_has_the_verdict_and_table_of_the_order_and_writes_nothing(others: int, *, force: bool) -> None:
    """Whether it passes, is refused or is forced; the store is as before, its history too."""
    site = await site_of(pools=GUARDED)
    for name in "bc"[:others]:
        await site.drain(name)
    before, told = await site.store.load(), await site.store.history()
    dry = await verdict(site, "a", dry_run=True, force=force)
    assert (await site.store.load(), await site.store.history()) == (before, told)
    assert site.plane.pool(EDGE).serving == 3 - others
    assert await verdict(site, "a", force=force) == dry
    assert (dry[0] == "placed") is (force or not others)
    assert dry[1][0]["ok"] is not bool(others)


async def test_a_dry_run_names_the_instant_of_a_later_shortfall() -> None:
    """Tonight's drain breaks tonight's floor: the refusal says when, with the numbers of then."""
    site = await site_of(pools=GUARDED)
    tonight = site.clock.wall + 7200
    await site.drain("b", starts_at=tonight, expires_in=60.0)
    with pytest.raises(CapacityFloor, match=r"would serve 1 from .* on, its floor is 2") as refusal:
        await site.drain("a", dry_run=True)
    (row,) = refusal.value.impact
    assert (row["at"], row["serving_before"], row["serving_after"]) == (tonight, 2, 1)


async def test_a_forced_drain_needs_a_reason_and_is_recorded_as_forced() -> None:
    """Without a reason nothing is written; with one, the drain and the history say that it was against the guard."""
    site = await site_of(pools=GUARDED)
    await site.drain("b")
    with pytest.raises(InvalidRequest) as refusal:
        await site.drain("a", force=True, reason=" ")
    assert (refusal.value.field, site.plane.revision) == ("reason", 1)
    await site.drain("a", force=True, reason="on fire")
    assert {drain.node: drain.forced for drain in site.plane.drains()} == {"a": True, "b": False}
    forced, placed = (await site.store.history())[0]
    assert (forced.forced, forced.reason, forced.actor, placed.forced) == (True, "on fire", "alice", False)


async def test_force_that_was_not_needed_is_not_recorded_as_force() -> None:
    """An order that keeps every floor is an ordinary one, whatever it says."""
    site = await site_of(pools=GUARDED)
    await site.drain("a", force=True)
    assert [each.forced for each in (await site.store.history())[0]] == [False]


async def test_maintenance_of_the_last_draining_node_is_refused_where_it_answers() -> None:
    """The pool's answers would become empty; with force they do, and the answer to the order says so."""
    site = await site_of(pools=(pool(when_empty=WhenEmpty.DRAINING),))
    for name in "abc":
        await site.drain(name, force=True)
    for name in "ab":
        assert (await verdict(site, name, mode="maintenance"))[0] == "placed"
    text, table = await verdict(site, "c", mode="maintenance")
    assert "would serve 0 and answer nothing, its floor is 1" in text
    assert [(row["empties"], row["ok"]) for row in table] == [(True, False)]
    assert site.plane.pool(EDGE).answers == ["192.0.2.12"]
    outcome = await site.drain("c", mode="maintenance", force=True)
    assert [each.empties for each in outcome.impact] == [True]
    assert site.plane.pool(EDGE).answers == []


async def test_the_history_has_what_was_before_and_after() -> None:
    """Placed: nothing and the drain; changed: both; released: the drain and nothing; each with who and why."""
    site = await site_of()
    await site.drain("a", reason="disk")
    await site.drain("a", reason="disk", mode="maintenance")
    await site.release("a")
    entries, cursor = await site.plane.history(node="a", before=None, limit=10)
    assert cursor is None
    seen = [(each.action, [d["mode"] for d in each.before], [d["mode"] for d in each.after]) for each in entries]
    assert seen == [
        (Action.DRAIN_RELEASED.value, ["maintenance"], []),
        (Action.DRAIN_CHANGED.value, ["draining"], ["maintenance"]),
        (Action.DRAIN_PLACED.value, [], ["draining"]),
    ]
    assert {(each.actor, each.reason, each.holder) for each in entries} == {("alice", "disk", "alice")}


async def test_the_history_is_read_in_pages_without_gap_or_repeat() -> None:
    """Page after page gives what one page gives, and entries that come meanwhile move nothing."""
    site = await site_of()
    for turn in range(7):
        await site.drain("a", reason=f"turn {turn}")
    whole, _ = await site.plane.history(node=None, before=None, limit=100)
    paged = []
    cursor: int | None = None
    while True:
        items, cursor = await site.plane.history(node=None, before=cursor, limit=3)
        paged += items
        await site.drain("b", reason=f"meanwhile {len(paged)}")
        if cursor is None:
            break
    assert paged == whole
    assert [each.reason for each in whole] == [f"turn {turn}" for turn in range(6, -1, -1)]


async def test_a_refusal_over_http_names_its_instant_as_text() -> None:
    """The table of the problem document has the same form as that of an answer."""
    site = await site_of(pools=GUARDED)
    tonight = site.clock.wall + 7200
    async with Http(site.plane) as http:  # type: ignore[arg-type]
        placed = await http.drain("b", starts_at=format_instant(tonight), expires_in=60.0)
        assert placed.json["impact"][0]["at"] == format_instant(tonight)
        refused = await http.drain("a")
        assert (refused.status, refused.problem["impact"][0]["at"]) == (409, format_instant(tonight))
        assert [row["at"] for row in (await http.drain("a", expires_in=60.0)).json["impact"]] == [None]
