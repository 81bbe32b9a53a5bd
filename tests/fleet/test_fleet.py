"""The fleet's overlay case by case: tiers, sharing of addresses, per-node names, and how little is compiled."""

from __future__ import annotations

import pytest

from dnsd.core.engine import Engine
from dnsd.core.fleet_change import Withdrawal
from dnsd.core.selection import Tier
from dnsd.model.check import Checked
from dnsd.model.drain import Mode
from dnsd.model.node import Monitor
from dnsd.model.pool import WhenEmpty
from dnsd.model.report import Health, Report
from tests.support.fleets import (
    NOW,
    addresses_in,
    answered,
    ask,
    drain,
    fleet_of,
    gone,
    node,
    overlay_name,
    pool,
    put,
    snapshot_of,
)

EDGE = "edge.example.org."
A, B, C = node("a", "192.0.2.10"), node("b", "192.0.2.11"), node("c", "192.0.2.12")


def report(name: str, *, up: bool, received_at: float = NOW, sequence: int = 1) -> Report:
    return Report(node=name, sequence=sequence, observed_at=NOW, received_at=received_at, health={"edge": up})


def test_a_drain_takes_its_node_out_and_its_end_brings_it_back() -> None:
    """A pool leaves a drained node out from the change on, and has it again after the release."""
    fleet = fleet_of([A, B], [pool()])
    order = drain("a", role="edge")
    fleet.apply([put(order, 1)], now=NOW)
    assert answered(fleet, EDGE) == {"192.0.2.11"}
    fleet.apply([gone(order, 2)], now=NOW)
    assert answered(fleet, EDGE) == {"192.0.2.10", "192.0.2.11"}


def test_a_drain_of_another_role_changes_nothing() -> None:
    """A node drained as ingest still serves as edge, and no pool is compiled for it."""
    both = node("a", "192.0.2.10", roles=("edge", "ingest"))
    fleet = fleet_of([both, B], [pool()])
    change = fleet.apply([put(drain("a", role="ingest"), 1)], now=NOW)
    assert (change.empty, change.pools) == (True, [])
    assert answered(fleet, EDGE) == {"192.0.2.10", "192.0.2.11"}


def test_of_several_holders_the_strongest_drain_counts() -> None:
    """Releasing one holder's drain leaves the other's in force."""
    fleet = fleet_of([A, B], [pool()])
    ops, update = drain("a"), drain("a", holder="os-update", mode=Mode.MAINTENANCE)
    fleet.apply([put(ops, 1), put(update, 2)], now=NOW)
    assert fleet.mode_of("a", "edge", now=NOW) is Mode.MAINTENANCE
    fleet.apply([gone(update, 3)], now=NOW)
    assert fleet.mode_of("a", "edge", now=NOW) is Mode.DRAINING
    assert answered(fleet, EDGE) == {"192.0.2.11"}


def test_a_scheduled_drain_starts_and_ends_by_the_clock_alone() -> None:
    """Ticks at its start and expiry change the answers; nothing else is asked for."""
    fleet = fleet_of([A, B], [pool()])
    fleet.apply([put(drain("a", starts_at=NOW + 10, expires_at=NOW + 20), 1)], now=NOW)
    assert fleet.next_transition == NOW + 10
    assert fleet.tick(now=NOW + 9.9).empty
    fleet.tick(now=NOW + 10)
    assert answered(fleet, EDGE) == {"192.0.2.11"}
    assert fleet.next_transition == NOW + 20
    fleet.tick(now=NOW + 20)
    assert answered(fleet, EDGE) == {"192.0.2.10", "192.0.2.11"}
    assert fleet.next_transition is None


@pytest.mark.parametrize(
    ("when_empty", "modes", "expected", "tier"),
    [
        (WhenEmpty.NODATA, "dd", set(), Tier.NODATA),
        (WhenEmpty.SERVFAIL, "dd", set(), Tier.SERVFAIL),
        (WhenEmpty.DRAINING, "dm", {"192.0.2.10"}, Tier.DRAINING),
        (WhenEmpty.DRAINING, "mm", set(), Tier.NODATA),
        (WhenEmpty.POOL, "dd", {"192.0.2.12"}, Tier.POOL),
        (WhenEmpty.POOL, "d-", {"192.0.2.11"}, Tier.SERVING),
    ],
)
def test_a_pool_without_undrained_nodes_answers_as_when_empty_says(
    when_empty: WhenEmpty, modes: str, expected: set[str], tier: Tier
) -> None:
    """d: draining, m: maintenance, -: normal; the pool `other` has one node."""
    other = pool("other.example.org.", match={"region": "us"})
    spec = pool(match={"region": "eu"}, when_empty=when_empty, fallback=other.owner)
    away = node("c", "192.0.2.12", region="us")
    named = {"d": Mode.DRAINING, "m": Mode.MAINTENANCE}
    placed = [drain(each.id, mode=named[letter]) for each, letter in zip((A, B), modes, strict=True) if letter in named]
    fleet = fleet_of([A, B, away], [spec, other], placed)
    assert answered(fleet, EDGE) == expected
    assert fleet.selection_of(EDGE).tier is tier
    rcode = ask(Engine(snapshot_of(fleet)), EDGE).rcode()
    assert rcode == (2 if tier is Tier.SERVFAIL else 0)


def test_a_fallback_is_compiled_when_the_pool_it_rests_on_changes() -> None:
    """A drain in the pool that another one falls back to reaches the answers of both."""
    other = pool("other.example.org.", match={"region": "us"})
    spec = pool(match={"region": "eu"}, when_empty=WhenEmpty.POOL, fallback=other.owner)
    away = [node("c", "192.0.2.12", region="us"), node("d", "192.0.2.13", region="us")]
    fleet = fleet_of([A, *away], [spec, other], [drain("a")])
    change = fleet.apply([put(drain("c"), 1)], now=NOW)
    assert change.pools == [EDGE, other.owner]
    assert answered(fleet, EDGE) == {"192.0.2.13"}


def test_all_undrained_nodes_unhealthy_fails_open_to_them_but_never_to_a_drained_one() -> None:
    """With every undrained node down, all of these are answered; the healthy but drained one is not."""
    watched = [node(name, f"192.0.2.{last}", monitor=Monitor.AGENT) for name, last in (("a", 10), ("b", 11))]
    fleet = fleet_of([*watched, C], [pool()], [drain("c")])
    assert fleet.selection_of(EDGE).tier is Tier.UNHEALTHY
    assert answered(fleet, EDGE) == {"192.0.2.10", "192.0.2.11"}
    fleet.report(report("b", up=True), now=NOW)
    assert answered(fleet, EDGE) == {"192.0.2.11"}


@pytest.mark.parametrize("step", ["report", "checked", "apply", "tick"])
def test_a_clock_that_is_set_back_a_little_brings_no_drained_node_back(step: str) -> None:
    """A drain that has begun holds whatever is heard of its node before it is that time again."""
    monitor = Monitor.CHECK if step == "checked" else Monitor.AGENT
    fleet = fleet_of([node("a", "192.0.2.10", monitor=monitor), B], [pool()])
    fleet.apply([put(drain("a", role="edge"), 1)], now=NOW)
    back = NOW - 0.5
    match step:
        case "report":
            fleet.report(report("a", up=True, received_at=back), now=back)
        case "checked":
            fleet.checked({"a": {"edge": Checked(Health.UP, "check")}}, now=back)
        case "apply":
            fleet.apply([put(drain("a", role="ingest", starts_at=back), 2)], now=back)
        case _:
            fleet.tick(now=back)
    assert answered(fleet, EDGE) == {"192.0.2.11"}


def test_a_report_that_changes_no_answer_compiles_nothing() -> None:
    """Heartbeats are free: only a change of health or freshness compiles, and only that node's pools."""
    watched = node("a", "192.0.2.10", monitor=Monitor.AGENT)
    fleet = fleet_of([watched, B], [pool(), pool("us.example.org.", match={"region": "us"})])
    assert fleet.report(report("a", up=True), now=NOW).pools == [EDGE]
    assert fleet.report(report("a", up=True, sequence=2, received_at=NOW + 5), now=NOW + 5).pools == []
    assert fleet.tick(now=NOW + 30).pools == []
    assert fleet.tick(now=NOW + 35).pools == [EDGE]
    assert answered(fleet, EDGE) == {"192.0.2.11"}


def test_an_address_of_two_nodes_stays_while_one_of_them_serves() -> None:
    """Both per-node names resolve, and the pool keeps the shared address until both are drained."""
    twin = node("twin", "192.0.2.10", "2001:db8::1")
    fleet = fleet_of([A, twin], [pool()], [drain("a")])
    assert answered(fleet, EDGE) == {"192.0.2.10", "2001:db8::1"}
    assert fleet.named_by("a", "edge") == (EDGE,)
    change = fleet.apply([put(drain("twin"), 1)], now=NOW)
    assert answered(fleet, EDGE) == set()
    assert change.withdrawn == [Withdrawal("a", "edge", 30, EDGE), Withdrawal("twin", "edge", 30, EDGE)]
    for name in ("a", "twin"):
        assert "192.0.2.10" in answered(fleet, f"{name}.nodes.example.org.")


def test_a_node_of_weight_zero_is_not_served_from_pools() -> None:
    """Weight 0 keeps a node out of pools, fail-open included, and leaves its own name alone."""
    fleet = fleet_of([node("a", "192.0.2.10", weight=0), B], [pool()])
    assert answered(fleet, EDGE) == {"192.0.2.11"}
    assert answered(fleet, "a.nodes.example.org.") == {"192.0.2.10"}


def test_rotation_gives_every_address_the_first_place_equally_often() -> None:
    """Over as many answers as there are variants, each address leads the same number of times."""
    fleet = fleet_of([A, B, C], [pool()])
    engine = Engine(snapshot_of(fleet))
    first = [addresses_in(ask(engine, EDGE))[0] for _ in range(30)]
    assert {address: first.count(address) for address in set(first)} == dict.fromkeys(
        ("192.0.2.10", "192.0.2.11", "192.0.2.12"), 10
    )


def test_a_registered_node_gets_its_name_and_loses_it_with_its_removal() -> None:
    """The name and the empty name above it come and go with the nodes; a moved address replaces the old one."""
    fleet = fleet_of([], [pool()])
    engine = Engine(snapshot_of(fleet))
    assert ask(engine, "nodes.example.org.").rcode() == 3
    fleet.apply([put(A, 1), put(B, 2)], now=NOW)
    engine.swap(snapshot_of(fleet))
    assert ask(engine, "nodes.example.org.").rcode() == 0
    fleet.apply([put(node("a", "192.0.2.99"), 3), gone(B, 4)], now=NOW)
    assert answered(fleet, "a.nodes.example.org.") == {"192.0.2.99"}
    fleet.apply([gone(A, 5)], now=NOW)
    engine.swap(snapshot_of(fleet))
    assert ask(engine, "a.nodes.example.org.").rcode() == 3
    assert ask(engine, "nodes.example.org.").rcode() == 3
    assert overlay_name("nodes.example.org.") not in fleet.overlay


def test_a_node_that_is_removed_and_comes_back_is_still_drained() -> None:
    """Drains are records of their own: no registration changes a mode."""
    fleet = fleet_of([B], [pool()])
    fleet.apply([put(A, 1), put(drain("a"), 2), gone(A, 3), put(A, 4)], now=NOW)
    assert fleet.mode_of("a", "edge", now=NOW) is Mode.DRAINING
    assert answered(fleet, EDGE) == {"192.0.2.11"}


def test_a_name_that_is_taken_is_refused_with_the_reason() -> None:
    """A pool's name, another node's and one outside the zones cannot become a per-node name."""
    fleet = fleet_of([A], [pool("x.nodes.example.org.")])
    assert fleet.why_not_register(node("x")) == "x.nodes.example.org. is a pool"
    assert fleet.why_not_register(node("A")) == "a.nodes.example.org. is the name of node a"
    assert fleet.why_not_register(node("fine")) is None


def test_a_gap_between_revisions_is_an_error() -> None:
    """A change that does not follow the fleet's revision is refused rather than half applied."""
    fleet = fleet_of([A], [pool()])
    with pytest.raises(ValueError, match="does not follow"):
        fleet.apply([put(drain("a"), 2)], now=NOW)
    assert fleet.revision == 0


def test_a_node_that_leaves_a_pool_whose_answer_stays_is_withdrawn_all_the_same() -> None:
    """The pool falls back to one with the same address: no record changes, but whom it names and what it tells do."""
    other = pool("other.example.org.", match={"region": "us"})
    spec = pool(match={"region": "eu"}, when_empty=WhenEmpty.POOL, fallback=other.owner)
    fleet = fleet_of([A, node("twin", "192.0.2.10", region="us")], [spec, other], [drain("a", starts_at=NOW + 10)])
    before = fleet.overlay[overlay_name(EDGE)]
    change = fleet.tick(now=NOW + 10)
    assert (change.withdrawn, change.empty) == ([Withdrawal("a", "edge", 30, EDGE)], False)
    assert {name: put.rrsets for name, put in change.put.items()} == {overlay_name(EDGE): before.rrsets}


def test_who_returns_without_being_up_is_told_once() -> None:
    """The end of a drain brings nothing back that is not known to be up; a release and an expiry say so alike."""
    silent = node("a", "192.0.2.10", monitor=Monitor.AGENT)
    order = drain("a", expires_at=NOW + 10)
    fleet = fleet_of([silent, B], [pool()], [order])
    assert fleet.tick(now=NOW + 10).kept_out == {("a", "edge"): Health.UNKNOWN}
    assert fleet.apply([gone(order, 1)], now=NOW + 11).kept_out == {}
    again = drain("a", created_at=NOW + 12, starts_at=NOW + 12)
    fleet.apply([put(again, 2)], now=NOW + 12)
    assert fleet.apply([gone(again, 3)], now=NOW + 13).kept_out == {("a", "edge"): Health.UNKNOWN}


def test_expired_drains_are_found_without_a_look_at_the_others() -> None:
    """What is over and still kept, as often as asked; nothing that was renewed, released or is still to come."""
    over, renewed, released = (drain(name, expires_at=NOW + 10) for name in "abc")
    fleet = fleet_of([A, B, C], [pool()], [over, renewed, released, drain("d", expires_at=NOW + 11)])
    fleet.apply([put(drain("b", expires_at=NOW + 60), 1), gone(released, 2)], now=NOW)
    assert fleet.expired_drains(NOW + 9.9) == ()
    assert fleet.expired_drains(NOW + 10) == fleet.expired_drains(NOW + 10) == (over,)
    fleet.apply([gone(over, 3)], now=NOW + 10)
    assert fleet.expired_drains(NOW + 10) == ()


def test_a_name_with_a_pool_below_it_survives_its_nodes_replacement() -> None:
    """Released and given back in one step: what stands there is the node's, not the empty name above the pool."""
    fleet = fleet_of([B], [pool(), pool("x.a.nodes.example.org.")])
    fleet.apply([put(A, 1), put(node("a", "192.0.2.10", weight=50), 2)], now=NOW)
    assert answered(fleet, "a.nodes.example.org.") == {"192.0.2.10"}
    fleet.apply([put(A, 3)], now=NOW)
    assert answered(fleet, "a.nodes.example.org.") == {"192.0.2.10"}


def test_a_drain_that_ended_unseen_is_told_of_where_its_node_stays_out() -> None:
    """A fleet that is built after the end says who stays out all the same, and only for drains that have ended."""
    watched = [node(name, f"192.0.2.{last}", monitor=Monitor.AGENT) for name, last in (("a", 10), ("b", 11))]
    over, standing = drain("a", expires_at=NOW - 1, starts_at=NOW - 9), drain("b", starts_at=NOW - 9)
    fleet = fleet_of([*watched, C], [pool()], [over, standing])
    assert fleet.opening.kept_out == {("a", "edge"): Health.UNKNOWN}
