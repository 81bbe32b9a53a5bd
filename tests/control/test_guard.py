"""The capacity guard: which drains break a floor, over health and all drains that are in force at the same time."""

from __future__ import annotations

import pytest

from dnsd.api.schemas import Impact
from dnsd.control.guard import impact_of
from dnsd.model.drain import Drain, Mode
from dnsd.model.node import Monitor
from dnsd.model.pool import Floor, WhenEmpty
from tests.support.fleets import NOW, drain, fleet_of, node, pool

EDGE = "edge.example.org."
NODES = [node(name, f"192.0.2.{10 + index}", weight=100) for index, name in enumerate("abcd")]


def impact(floor: int | str, placed: list[Drain], new: Drain) -> list[Impact]:
    fleet = fleet_of(NODES, [pool(floor=Floor.of(floor))], placed)
    return impact_of(fleet, new.node, [*fleet.drains_of(new.node), new], now=NOW)


@pytest.mark.parametrize(
    ("floor", "drained", "ok"),
    [(3, "", True), (4, "", False), ("75%", "", True), ("76%", "", False), (2, "b", True), (3, "b", False)],
)
def test_a_floor_counts_nodes_or_weight_over_all_drains(floor: int | str, drained: str, *, ok: bool) -> None:
    """Draining a of four equal nodes, with others drained already."""
    (found,) = impact(floor, [drain(name) for name in drained], drain("a"))
    serving = 4 - len(drained)
    assert found == Impact(
        pool=EDGE,
        serving_before=serving,
        serving_after=serving - 1,
        answering_before=serving,
        answering_after=serving - 1,
        floor=Floor.of(floor).text,
        ok=ok,
    )


def test_a_share_is_of_weight_and_not_of_heads() -> None:
    """One heavy node of three can hold half of the weight alone."""
    nodes = [node("a", weight=200), node("b", weight=100), node("c", weight=100)]
    fleet = fleet_of(nodes, [pool(floor=Floor.of("50%"))], [drain("b")])
    assert [each.ok for each in impact_of(fleet, "c", [drain("c")], now=NOW)] == [True]
    assert [each.ok for each in impact_of(fleet, "a", [drain("a")], now=NOW)] == [False]


def test_an_unhealthy_node_does_not_count_as_serving() -> None:
    """Draining the healthy one of two breaks a floor of one; draining the unhealthy one changes nothing."""
    nodes = [node("up"), node("silent", monitor=Monitor.AGENT)]
    fleet = fleet_of(nodes, [pool(floor=Floor.of(1))])
    assert [each.ok for each in impact_of(fleet, "up", [drain("up")], now=NOW)] == [False]
    assert impact_of(fleet, "silent", [drain("silent")], now=NOW) == []


def test_a_drain_that_is_over_before_another_begins_does_not_add_to_it() -> None:
    """Two drains in turn keep a floor that the two together would break."""
    tonight = drain("b", starts_at=NOW + 100)
    assert [each.ok for each in impact(3, [tonight], drain("a", expires_at=NOW + 100))] == [True]
    assert [each.ok for each in impact(3, [tonight], drain("a", expires_at=NOW + 101))] == [False]
    assert [each.ok for each in impact(3, [tonight], drain("a", starts_at=NOW + 200))] == [False]


def test_a_second_drain_of_a_drained_node_has_no_impact() -> None:
    """What another holder has taken out already is not taken out again."""
    assert impact(4, [drain("a")], drain("a", holder="os-update")) == []


def test_giving_capacity_back_is_never_refused() -> None:
    """With a floor that is broken anyway, a release is fine and shows what it brings."""
    fleet = fleet_of(NODES, [pool(floor=Floor.of(4))], [drain("a"), drain("b")])
    counts = {"serving_before": 2, "serving_after": 3, "answering_before": 2, "answering_after": 3}
    assert impact_of(fleet, "a", [], now=NOW) == [Impact(pool=EDGE, **counts, floor="4", ok=True)]


def test_the_numbers_of_a_later_instant_say_so() -> None:
    """The worst instant is named where it is not now; of instants that are equally bad, the earliest is meant."""
    tonight = drain("b", starts_at=NOW + 100)
    (found,) = impact(3, [tonight], drain("a"))
    assert (found.at, found.serving_before, found.serving_after, found.ok) == (NOW + 100, 3, 2, False)
    (found,) = impact(1, [], drain("a", starts_at=NOW + 50))
    assert (found.at, found.serving_before, found.serving_after) == (NOW + 50, 4, 3)
    (found,) = impact(1, [], drain("a"))
    assert found.at is None


def test_a_node_that_comes_back_by_a_ramp_serves_in_full_for_a_floor() -> None:
    """A ramp takes no capacity away, neither its own node's nor from what others may drain."""
    ramp = drain("b", mode=Mode.NORMAL, expires_at=NOW + 300)
    assert [each.ok for each in impact(3, [ramp], drain("a"))] == [True]
    fleet = fleet_of(NODES, [pool(floor=Floor.of(4))], [drain("a")])
    ramp = drain("a", mode=Mode.NORMAL, expires_at=NOW + 300)
    assert [each.serving_after for each in impact_of(fleet, "a", [ramp], now=NOW)] == [4]


@pytest.mark.parametrize(("floor", "ok"), [(1, False), ("1%", False), (0, True), ("0%", True)])
def test_the_last_draining_nodes_of_a_pool_that_answers_with_them_do_not_go_unsaid(
    floor: int | str, *, ok: bool
) -> None:
    """Maintenance in place of draining empties the answers though nothing served before: shown, refused above 0."""
    spec = pool(floor=Floor.of(floor), when_empty=WhenEmpty.DRAINING)
    fleet = fleet_of(NODES[:2], [spec], [drain("a"), drain("b", mode=Mode.MAINTENANCE)])
    (found,) = impact_of(fleet, "a", [drain("a", mode=Mode.MAINTENANCE)], now=NOW)
    assert (found.serving_before, found.serving_after) == (0, 0)
    assert (found.answering_before, found.answering_after, found.empties, found.ok) == (1, 0, True, ok)


def test_one_of_several_draining_nodes_may_go_to_maintenance() -> None:
    """Answers that another node still fills are not emptied, and nothing is said of them."""
    spec = pool(when_empty=WhenEmpty.DRAINING)
    fleet = fleet_of(NODES[:2], [spec], [drain("a"), drain("b")])
    assert impact_of(fleet, "a", [drain("a", mode=Mode.MAINTENANCE)], now=NOW) == []


def test_answers_from_another_pool_are_not_empty() -> None:
    """A pool that falls back to one that serves keeps answering when its own last draining node goes."""
    other = pool("other.example.org.", role="ingest", floor=Floor.of(0))
    spec = pool(floor=Floor.of(1), when_empty=WhenEmpty.POOL, fallback=other.owner)
    nodes = [node("a"), node("z", roles=("ingest",))]
    fleet = fleet_of(nodes, [other, spec])
    (found,) = impact_of(fleet, "a", [drain("a")], now=NOW)
    assert (found.serving_after, found.answering_after, found.empties, found.ok) == (0, 1, False, False)


def test_a_renewal_is_judged_at_the_end_that_it_moves() -> None:
    """Where the node would have come back and now does not, the floor counts as for a new drain."""
    forced = drain("a", expires_at=NOW + 10, forced=True)
    fleet = fleet_of(NODES, [pool(floor=Floor.of(4))], [forced])
    (found,) = impact_of(fleet, "a", [drain("a")], now=NOW)
    assert (found.at, found.serving_before, found.serving_after, found.ok) == (NOW + 10, 4, 3, False)


def test_a_second_holder_that_stays_longer_is_judged_at_the_end_of_the_first() -> None:
    """Another holder's drain adds nothing now, and keeps the node out later."""
    fleet = fleet_of(NODES, [pool(floor=Floor.of(4))], [drain("a", expires_at=NOW + 60)])
    other = drain("a", holder="os-update", expires_at=NOW + 120)
    assert [each.ok for each in impact_of(fleet, "a", [*fleet.drains_of("a"), other], now=NOW)] == [False]
    shorter = drain("a", holder="os-update", expires_at=NOW + 30)
    assert impact_of(fleet, "a", [*fleet.drains_of("a"), shorter], now=NOW) == []
