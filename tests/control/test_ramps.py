"""Coming back by a ramp: in steps, shown, kept, shared, ended by itself; and what is refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from dnsd.api.schemas import RampInfo
from dnsd.control.ramps import MAX_RAMP_SECONDS
from dnsd.core.engine import Engine
from dnsd.daemon.sampling import sample
from dnsd.errors import InvalidRequest
from dnsd.model.drain import Mode
from dnsd.model.node import Monitor
from dnsd.model.state import Action
from dnsd.model.times import format_instant
from tests.admin.site import Site as Http
from tests.control.rig import ABC, EDGE, BreakableStore, Site, site_of
from tests.control.timekeeping import keeping_time, pass_time
from tests.support.fleets import addresses_in, ask, node
from tests.support.waiting import until

RAMP_SECONDS = 90.0  # a step each 10 s


async def ramping_site(**fields: Any) -> Site:
    """Return a site whose node `a` has just been released with a ramp."""
    site = await site_of(**fields)
    await site.drain("a")
    await site.release("a", ramp=RAMP_SECONDS)
    return site


def ramp_in(site: Site, percent: int, left: float) -> RampInfo:
    return RampInfo(percent=percent, ends_at=site.clock.wall + left)


def shown(site: Site) -> list[RampInfo | None]:
    """Return what every view of node `a` shows."""
    members = {each.node: each for each in site.plane.pool(EDGE).members}
    return [site.plane.node("a").roles["edge"].ramp, members["a"].ramp, site.status("a").roles["edge"].ramp]


def shares(site: Site, *, times: int = 400) -> dict[str, float]:
    """Return the share of a pool's answers that hold each address, as the workers give them."""
    engine = Engine(site.workers.snapshot)
    counts = Counter(address for _ in range(times) for address in addresses_in(ask(engine, EDGE)))
    return {address: count / times for address, count in counts.items()}


@pytest.mark.parametrize("seconds", [0, 10, 45, 85])
async def test_a_nodes_part_in_answers_rises_in_steps(seconds: float) -> None:
    """The workers' answers hold it as often as every view says; the others are in all of them."""
    site = await ramping_site()
    site.tick(seconds)
    percent = 10 * (1 + int(seconds) // 10)
    assert shown(site) == [ramp_in(site, percent, RAMP_SECONDS - seconds)] * 3
    found = shares(site)
    assert found["192.0.2.10"] == pytest.approx(percent / 100, abs=0.02)
    assert found["192.0.2.11"] == found["192.0.2.12"] == 1.0


async def test_each_step_is_taken_at_its_instant_by_the_timekeeper() -> None:
    """Nobody asks for anything meanwhile; at the end there is one entry of history, one event, and no ramp."""
    site = await ramping_site()
    events = site.plane.events(after=site.plane.revision)
    next_event = asyncio.ensure_future(anext(events))
    async with keeping_time(site):
        for step in range(1, 9):
            pass_time(10, site)
            await until(lambda wanted=step: cap_of(site) == pytest.approx((wanted + 1) / 10), "the step")  # type: ignore[misc]
        pass_time(9.999, site)
        await asyncio.sleep(0.01)
        assert cap_of(site) == 0.9
        pass_time(0.001, site)
        await until(lambda: site.plane.revision == 3, "the ramp is removed")
    assert shown(site) == [None] * 3
    assert shares(site)["192.0.2.10"] == 1.0
    assert (await site.store.load()).drains == {}
    ended, released, placed = (await site.store.history())[0]
    assert [each.action for each in (placed, released)] == [Action.DRAIN_PLACED, Action.DRAIN_RELEASED]
    assert (ended.action, ended.actor, ended.holder, ended.roles) == (Action.RAMP_ENDED, "dnsd", "alice", ("*",))
    assert (released.actor, released.before[0]["mode"], released.after[0]["mode"]) == ("alice", "draining", "normal")
    event = await next_event
    assert (event.type, event.revision, event.node) == ("ramp-ended", 3, "a")
    await events.aclose()  # type: ignore[attr-defined]


def cap_of(site: Site) -> float:
    return next(each.share_cap for each in site.plane.publisher.fleet.members_of(EDGE) if each.node.id == "a")


async def test_a_ramp_survives_a_restart_and_reaches_other_servers() -> None:
    """A server that starts in the middle, and one that follows the store, show and answer the same."""
    store = BreakableStore()
    await store.open()
    site = await site_of(store=store)
    other = await site_of(store=store, clock=site.clock, server_id="ns2")
    await site.drain("a")
    await site.release("a", ramp=RAMP_SECONDS)
    await other.hear()
    other.tick(45)
    again = await site_of(store=store, clock=site.clock)
    for each in (other, again):
        assert shown(each) == [ramp_in(site, 50, 45)] * 3
        assert shares(each)["192.0.2.10"] == pytest.approx(0.5, abs=0.02)


async def test_a_ramp_is_no_drain_to_whoever_counts_them() -> None:
    """Lists, metrics, modes, the guard and the status of a node take it for nothing but a ramp."""
    site = await ramping_site()
    assert site.plane.drains() == []
    found = sample(site.plane, reloads={})
    assert (found.drains, found.drain_age_seconds, found.drains_indefinite, found.drains_overdue) == ({}, {}, 0, 0)
    assert found.pool_members[EDGE, "serving"] == 3
    state = site.plane.node("a").roles["edge"]
    assert (state.mode, state.serving) == ("normal", True)
    status = site.status("a")
    assert not status.safe_to_stop
    assert status.roles["edge"].drains == []
    assert "edge: not drained" in status.blockers
    (impact,) = (await site.drain("b", dry_run=True)).impact
    assert (impact.serving_before, impact.serving_after) == (3, 2)


async def test_a_node_that_is_not_known_to_be_up_does_not_serve_by_a_ramp() -> None:
    """An undrained node needs fresh health first; once it has it, it has the share that the ramp has reached."""
    site = await site_of([node("a", "192.0.2.10", monitor=Monitor.AGENT), *ABC[1:]])
    await site.drain("a")
    await site.release("a", ramp=RAMP_SECONDS)
    assert site.plane.node("a").roles["edge"].serving is False
    assert "192.0.2.10" not in shares(site)
    site.tick(20)
    assert "192.0.2.10" not in shares(site)
    await site.report("a")
    assert shares(site)["192.0.2.10"] == pytest.approx(0.3, abs=0.02)
    site.tick(30)
    assert "192.0.2.10" not in shares(site)


async def test_another_holders_drain_stays_in_force_above_a_ramp() -> None:
    """The node is out until that is released; of several ramps the least share counts."""
    site = await site_of()
    await site.drain("a")
    await site.drain("a", holder="os-update", mode="maintenance", force=True)
    await site.release("a", ramp=RAMP_SECONDS)
    assert site.plane.node("a").roles["edge"].mode == "maintenance"
    assert "192.0.2.10" not in shares(site)
    site.tick(45)
    await site.release("a", holder="os-update", ramp=900.0)
    assert shown(site) == [ramp_in(site, 10, 900)] * 3


async def test_a_repeated_release_keeps_the_ramp_and_one_without_ends_it() -> None:
    """The repetition changes nothing and leaves no history; the end is told as a ramp's, by who asked for it."""
    site = await ramping_site()
    site.tick(20)
    again = await site.release("a", ramp=RAMP_SECONDS)
    assert (again.changed, again.released, again.ramp) == (False, [], ramp_in(site, 30, 70))
    assert len((await site.store.history())[0]) == 2
    ended = await site.release("a")
    assert (ended.changed, ended.ramp, [each.mode for each in ended.released]) == (True, None, ["normal"])
    assert shares(site)["192.0.2.10"] == 1.0
    entry = (await site.store.history())[0][0]
    assert (entry.action, entry.actor) == (Action.RAMP_ENDED, "alice")
    assert not (await site.release("a")).changed


async def test_a_drain_takes_the_place_of_a_ramp() -> None:
    """It is placed anew, with its own age, and releasing it may leave a ramp again."""
    site = await ramping_site()
    site.tick(20)
    outcome = await site.drain("a", mode="maintenance")
    assert outcome.drain is not None
    assert (outcome.drain.created_at, outcome.drain.mode) == (site.clock.wall, "maintenance")
    assert (await site.store.history())[0][0].action is Action.DRAIN_PLACED
    assert site.plane.publisher.fleet.mode_of("a", "edge", now=site.clock.wall) is Mode.MAINTENANCE
    assert shown(site) == [None] * 3
    assert (await site.release("a", ramp=RAMP_SECONDS)).ramp == ramp_in(site, 10, RAMP_SECONDS)


async def test_a_dry_run_tells_of_the_ramp_and_writes_nothing() -> None:
    """The answer is that of the release itself, but for the revision that it would make."""
    site = await site_of()
    await site.drain("a")
    outcome = await site.release("a", ramp=RAMP_SECONDS, dry_run=True)
    assert (outcome.changed, outcome.ramp) == (True, ramp_in(site, 10, RAMP_SECONDS))
    assert site.plane.revision == 1
    assert [each.mode for each in site.plane.drains()] == ["draining"]


async def test_a_released_role_ramps_and_a_scheduled_drain_is_merely_cancelled() -> None:
    """Only what was out comes back in steps."""
    site = await site_of([node("a", "192.0.2.10", roles=("edge", "ingest")), *ABC[1:]])
    await site.drain("a", roles=["edge"])
    await site.drain("a", roles=["ingest"], starts_at=site.clock.wall + 600)
    outcome = await site.release("a", ramp=RAMP_SECONDS)
    assert sorted(each.roles for each in outcome.released) == [["edge"], ["ingest"]]
    roles = site.plane.node("a").roles
    assert roles["edge"].ramp == ramp_in(site, 10, RAMP_SECONDS)
    assert roles["ingest"].ramp is None
    assert len((await site.store.load()).drains) == 1


@pytest.mark.parametrize("ramp", [0.0, -1.0, float("inf"), float("nan"), MAX_RAMP_SECONDS + 1])
async def test_a_ramp_that_makes_no_sense_is_refused(ramp: float) -> None:
    """The refusal names the field; the drain stands, and nothing is written."""
    site = await site_of()
    await site.drain("a")
    request = {"ramp": ramp}
    with pytest.raises((InvalidRequest, ValueError)) as refusal:
        await site.release("a", **request)
    assert "ramp" in (getattr(refusal.value, "field", None) or str(refusal.value))
    assert site.plane.revision == 1


async def test_a_refused_ramp_names_its_field_over_http() -> None:
    """Negative, zero, too long, or with nothing to release: 400 with the parameter, and the state as before."""
    site = await site_of()
    await site.drain("a", holder="local")
    async with Http(site.plane) as http:  # type: ignore[arg-type]
        for node_, ramp in (("a", "-5"), ("a", "0"), ("a", "86401"), ("b", "60")):
            got = await http.ask("DELETE", f"/v1/nodes/{node_}/drain?ramp={ramp}")
            assert (got.status, got.problem["id"], got.problem["field"]) == (400, "invalid-request", "ramp")
        assert site.plane.revision == 1
        got = await http.ask("DELETE", "/v1/nodes/a/drain?ramp=90")
        assert got.json["ramp"] == {"percent": 10, "ends_at": format_instant(site.clock.wall + 90)}


@pytest.mark.parametrize("placed", [None, "scheduled", "others"])
async def test_a_ramp_where_nothing_comes_back_is_refused(placed: str | None) -> None:
    """Nothing there, nothing in force, or nothing of the caller's: the field is named, and nothing is written."""
    site = await site_of()
    if placed == "scheduled":
        await site.drain("a", starts_at=site.clock.wall + 600)
    if placed == "others":
        await site.drain("a", holder="os-update")
    before = site.plane.revision
    with pytest.raises(InvalidRequest) as refusal:
        await site.release("a", ramp=60.0)
    assert refusal.value.field == "ramp"
    assert site.plane.revision == before
