"""The fleet in memory: what changes it, what time does to it, and what an outage holds up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.model.drain import Mode
from dnsd.model.node import Monitor
from dnsd.model.report import Health
from dnsd.model.state import Change, ChangeRecord, Entity
from dnsd.router import FleetView, NoNodes, RolePolicy, Router
from dnsd.router.fleet_view import Told
from dnsd.router.members import Level, Purpose, RoleMembers, Scope
from tests.router.fleets import NOW, ROLE, Clock, a_drain, a_node, a_report, a_state, a_view, member_of


def member(view: FleetView, name: str) -> tuple[Mode, Health]:
    """Return what a node is in `ROLE`."""
    found = member_of(view, name)
    return found.mode, found.health


def test_drains_begin_and_end_at_their_very_instants() -> None:
    """Without a timer: whoever asks at an instant is answered for that instant."""
    drain = a_drain("n0", starts_at=NOW + 10, expires_at=NOW + 20)
    clock = Clock()
    router = Router(a_view([a_node("n0"), a_node("n1")], [drain]), clock=clock)
    key = next(key for key in map(str, range(100)) if router.select(ROLE, key=key).node.id == "n0")
    for at, node in ((9.999, "n0"), (10.0, "n1"), (19.999, "n1"), (20.0, "n0")):
        clock.now = NOW + at
        assert router.select(ROLE, key=key).node.id == node


def test_a_report_gets_stale_by_itself() -> None:
    """At its very instant; a new one makes it fresh again."""
    view = a_view([a_node("n0", monitor=Monitor.AGENT)], reports=[a_report("n0")])
    view.settle(NOW + 29.9)
    assert member(view, "n0")[1] is Health.UP
    view.settle(NOW + 30)
    assert member(view, "n0")[1] is Health.STALE
    view.take_reports([a_report("n0", sequence=2, at=NOW + 31)], now=NOW + 31)
    assert member(view, "n0")[1] is Health.UP


def test_in_an_outage_reports_do_not_get_stale_and_drains_do_end() -> None:
    """After it, nodes get a full interval to be heard again; one that was stale before stays so."""
    nodes = [a_node("n0", monitor=Monitor.AGENT), a_node("n1", monitor=Monitor.AGENT)]
    drain = a_drain("n0", expires_at=NOW + 100)
    view = a_view(nodes, [drain], [a_report("n0"), a_report("n1", at=NOW - 60)])
    view.hold(NOW + 5)
    view.settle(NOW + 99)
    assert member(view, "n0") == (Mode.DRAINING, Health.UP)
    view.settle(NOW + 100)
    assert member(view, "n0") == (Mode.NORMAL, Health.UP)
    assert member(view, "n1")[1] is Health.STALE
    view.release(NOW + 200)
    view.settle(NOW + 229)
    assert member(view, "n0")[1] is Health.UP
    view.settle(NOW + 230)
    assert member(view, "n0")[1] is Health.STALE


def test_a_second_outage_soon_after_the_first_makes_nobody_stale() -> None:
    """Who is not heard in the moment between has the rest of the interval after it, and no more."""
    view = a_view([a_node("n0", monitor=Monitor.AGENT)], reports=[a_report("n0")])
    view.hold(NOW + 5)
    view.release(NOW + 100)
    view.hold(NOW + 101)
    view.settle(NOW + 200)
    assert member(view, "n0")[1] is Health.UP
    view.release(NOW + 200)
    view.settle(NOW + 228)
    assert member(view, "n0")[1] is Health.UP
    view.settle(NOW + 229)
    assert member(view, "n0")[1] is Health.STALE


def test_a_report_heard_in_an_outage_gets_stale_after_it() -> None:
    """A store that answers some calls and not others holds freshness, and brings reports."""
    view = a_view([a_node("n0", monitor=Monitor.AGENT)])
    view.hold(NOW)
    view.take_reports([a_report("n0", at=NOW + 5)], now=NOW + 5)
    view.release(NOW + 10)
    view.settle(NOW + 39)
    assert member(view, "n0")[1] is Health.UP
    view.settle(NOW + 40)
    assert member(view, "n0")[1] is Health.STALE


def test_what_is_gone_leaves_nothing_behind() -> None:
    """Of nodes that came, were drained and given sessions, and went."""
    view = a_view([])
    for number in range(20):
        node, drain = a_node(f"n{number}"), a_drain(f"n{number}")
        changes = [Change(Entity.NODE, node.id, node), Change(Entity.DRAIN, drain.key.text, drain)]
        view.apply([ChangeRecord(1, NOW, change) for change in changes], now=NOW)
        view.take_reports([a_report(node.id)], now=NOW)
        found = view.member(node.id, ROLE)
        assert found is not None
        view.placed(found, ROLE)
        changes = [Change(Entity.DRAIN, drain.key.text, None), Change(Entity.NODE, node.id, None)]
        view.apply([ChangeRecord(1, NOW, change) for change in changes], now=NOW)
    assert (view._drains, view._placed, view._members, view.roles) == ({}, {}, {}, {})
    assert view.sequence_of("n0") is None


def test_changes_are_taken_in_order() -> None:
    """A node that comes, is drained, replaced and removed, each by its revision."""
    view = a_view([a_node("n0")])
    drain = a_drain("n1")
    changes = [
        Change(Entity.NODE, "n1", a_node("n1")),
        Change(Entity.DRAIN, drain.key.text, drain),
        Change(Entity.NODE, "n0", a_node("n0", roles=("ingest",))),
    ]
    records = [ChangeRecord(number, NOW, change, f"m{number}") for number, change in enumerate(changes, 2)]
    view.apply(records, now=NOW)
    assert (view.revision, view.mark) == (4, "m4")
    assert member(view, "n1")[0] is Mode.DRAINING
    assert view.member("n0", ROLE) is None
    assert view.member("n0", "ingest") is not None
    view.apply([ChangeRecord(5, NOW, Change(Entity.NODE, "n0", None))], now=NOW)
    assert set(view.roles) == {ROLE}
    assert set(view.nodes) == {"n1"}


def test_a_drain_of_a_node_that_is_not_there_holds_when_it_comes() -> None:
    """Drains and nodes come from different places, in any order."""
    view = a_view([], [a_drain("n0")])
    view.take_configured([a_node("n0")], now=NOW)
    assert member(view, "n0")[0] is Mode.DRAINING


def test_a_configured_node_wins_over_a_registered_one() -> None:
    """And when it is configured no more, the registered one is back."""
    view = a_view([a_node("n0", region="eu")])
    view.take_configured([a_node("n0", region="us")], now=NOW)
    assert view.nodes["n0"].region == "us"
    assert set(view.roles[ROLE].regions) == {"us"}
    view.take_configured([], now=NOW)
    assert view.nodes["n0"].region == "eu"
    assert set(view.roles[ROLE].regions) == {"eu"}


def test_an_older_report_is_left_out() -> None:
    """By its sequence, not by its time."""
    view = a_view([a_node("n0", monitor=Monitor.AGENT)], reports=[a_report("n0", sequence=5, up=False)])
    view.take_reports([a_report("n0", sequence=4, at=NOW + 1)], now=NOW + 1)
    assert member(view, "n0")[1] is Health.DOWN


def test_a_node_that_servers_check_is_taken_as_healthy_by_the_store_alone() -> None:
    """What checks have found stands in no store; over HTTP the server tells it."""
    view = a_view([a_node("n0", monitor=Monitor.CHECK)])
    assert member(view, "n0")[1] is Health.UP
    view.take_told({("n0", ROLE): Told(Health.DOWN)}, now=NOW)
    assert member(view, "n0")[1] is Health.DOWN


def test_a_new_state_replaces_nodes_and_drains() -> None:
    """What it does not have is gone."""
    view = a_view([a_node("n0"), a_node("n1")], [a_drain("n0")])
    view.replace(a_state([a_node("n0")], revision=7), now=NOW)
    assert (set(view.nodes), view.revision, member(view, "n0")[0]) == ({"n0"}, 7, Mode.NORMAL)
    view.replace(a_state([], revision=8), now=NOW)
    with pytest.raises(NoNodes):
        Router(view, policies={ROLE: RolePolicy()}).select(ROLE)


def test_the_queue_of_instants_does_not_grow_with_reports() -> None:
    """Each report puts off when its node gets stale."""
    view = a_view([a_node("n0", monitor=Monitor.AGENT)])
    for number in range(2000):
        view.take_reports([a_report("n0", sequence=number, at=NOW + number / 100)], now=NOW + number / 100)
    assert len(view._queue) <= 100
    view.settle(NOW + 45)
    assert member(view, "n0")[1] is Health.UP
    view.settle(NOW + 50)
    assert member(view, "n0")[1] is Health.STALE


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_happened_the_view_is_as_if_made_of_the_present_state(data: st.DataObject) -> None:
    """Nodes, drains, ramps and reports come and go while time goes on: counts and members never drift."""
    ids = ("n0", "n1", "n2")
    offsets = st.integers(0, 60).map(lambda seconds: NOW + seconds)
    view, now, sequence = a_view([]), NOW, 0
    for step in range(data.draw(st.integers(1, 12))):
        name = data.draw(st.sampled_from(ids))
        now += data.draw(st.integers(0, 20))
        match data.draw(st.sampled_from(["node", "gone", "drain", "release", "report", "replace", "time"])):
            case "node":
                region, weight = data.draw(st.sampled_from(["eu", None])), data.draw(st.sampled_from([0, 10]))
                node = a_node(name, monitor=data.draw(st.sampled_from(Monitor)), region=region, weight=weight)
                view.apply([ChangeRecord(step, NOW, Change(Entity.NODE, name, node))], now=now)
            case "gone":
                view.apply([ChangeRecord(step, NOW, Change(Entity.NODE, name, None))], now=now)
            case "drain" | "release" as what:
                starts = data.draw(offsets)
                drain = a_drain(name, mode=data.draw(st.sampled_from(Mode)), starts_at=starts, expires_at=starts + 20)
                change = Change(Entity.DRAIN, drain.key.text, drain if what == "drain" else None)
                view.apply([ChangeRecord(step, NOW, change)], now=now)
            case "report":
                sequence += 1
                up = data.draw(st.booleans())
                view.take_reports([a_report(name, sequence=sequence, at=now, up=up, sessions=step)], now=now)
            case "replace":
                view.replace(view.state, now=now)
            case _:
                view.settle(now)
    view.settle(now)
    fresh = FleetView()
    fresh.replace(view.state, now=now)
    assert described(view) == described(fresh)


def scopes_of(group: RoleMembers) -> list[tuple[str, Scope]]:
    """Return the regions of a role, and the whole of it."""
    return [*group.regions.items(), ("", group.everywhere)]


def described(view: FleetView) -> object:
    """Return all that a selection rests on."""
    return {
        role: (
            {
                name: (each.mode, each.health, each.share, each.sessions, each.levels)
                for name, each in group.everywhere.members.items()
            },
            {
                region: ([scope.has(purpose, level) for purpose in Purpose for level in Level], set(scope.members))
                for region, scope in scopes_of(group)
            },
            (group._sessions, group._weight),
        )
        for role, group in view.roles.items()
    }
