"""How many nodes a pool can lose and keep its floor."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.core.selection import Member, floor_margin, holds_floor
from dnsd.model.drain import Mode
from dnsd.model.pool import Floor
from dnsd.model.report import Health
from tests.support.fleets import NOW, drain, fleet_of, gone, node, pool, put


def member(place: int, weight: int = 100, *, mode: Mode = Mode.NORMAL) -> Member:
    return Member(node(f"n{place}", weight=weight), mode, Health.UP)


@pytest.mark.parametrize(
    ("floor", "weights", "drained", "margin"),
    [
        (1, [100, 100], 0, 1),
        (2, [100, 100], 0, 0),
        (2, [100, 100], 1, -1),
        (0, [100], 0, 1),
        (3, [], 0, -3),
        ("50%", [100, 100], 0, 1),
        ("50%", [100, 100, 100, 100], 1, 1),
        ("50%", [300, 100, 100], 0, 0),
        ("50%", [100, 100], 2, -1),
        ("0%", [100, 100], 0, 2),
        ("50%", [], 0, 0),
    ],
)
def test_a_margin_is_what_may_go_the_heaviest_first(
    floor: int | str, weights: list[int], drained: int, margin: int
) -> None:
    """By count and by share; below 0 where the floor is broken."""
    modes = [Mode.DRAINING] * drained + [Mode.NORMAL] * (len(weights) - drained)
    members = [
        member(place, weight, mode=mode) for place, (weight, mode) in enumerate(zip(weights, modes, strict=True))
    ]
    assert floor_margin(pool(floor=Floor.of(floor)), members) == margin


@given(
    weights=st.lists(st.integers(0, 5), max_size=6),
    drained=st.lists(st.booleans(), min_size=6, max_size=6),
    floor=st.one_of(st.integers(0, 6), st.integers(0, 100).map(lambda percent: f"{percent}%")),
)
def test_whichever_nodes_of_the_margin_go_the_floor_holds(
    weights: list[int], drained: list[bool], floor: int | str
) -> None:
    """And with one more there is a choice of nodes that breaks it."""
    spec = pool(floor=Floor.of(floor))
    members = [
        member(place, weight, mode=Mode.DRAINING if out else Mode.NORMAL)
        for place, (weight, out) in enumerate(zip(weights, drained, strict=False))
    ]
    serving = [each for each in members if each.serving]
    margin = floor_margin(spec, members)

    def holds_without(gone: tuple[Member, ...]) -> bool:
        after = [Member(each.node, Mode.DRAINING, each.health) if each in gone else each for each in members]
        return holds_floor(spec, after)

    for count in range(margin + 1):
        assert all(holds_without(gone) for gone in combinations(serving, count))
    if margin < 0:
        assert not holds_without(())
    elif margin < len(serving):
        assert not all(holds_without(gone) for gone in combinations(serving, margin + 1))


def test_a_fleet_knows_the_margin_of_each_pool_as_it_is() -> None:
    """It follows drains, and is worked out once where nothing changes."""
    fleet = fleet_of([node("a"), node("b"), node("c")], [pool()])
    assert fleet.margin_of("edge.example.org.") == 2
    order = drain("a")
    fleet.apply([put(order, 1)], now=NOW)
    assert fleet.margin_of("edge.example.org.") == 1
    fleet.apply([gone(order, 2)], now=NOW)
    assert fleet.margin_of("edge.example.org.") == 2
