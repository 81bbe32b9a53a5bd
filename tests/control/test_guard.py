"""The capacity guard: which drains break a floor, over health and all drains that are in force at the same time."""

from __future__ import annotations

import pytest

from dnsd.api.schemas import Impact
from dnsd.control.guard import impact_of
from dnsd.model.drain import Drain
from dnsd.model.node import Monitor
from dnsd.model.pool import Floor
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
        pool=EDGE, serving_before=serving, serving_after=serving - 1, floor=Floor.of(floor).text, ok=ok
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
    assert impact_of(fleet, "a", [], now=NOW) == [
        Impact(pool=EDGE, serving_before=2, serving_after=3, floor="4", ok=True)
    ]
