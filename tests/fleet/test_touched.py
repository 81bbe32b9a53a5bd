"""Which nodes a step says that it may have changed: every one that looks different, and not those that cannot."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from dnsd.adapters.members import RoleMember, member_of
from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.core.fleet_change import OverlayChange
from dnsd.model.check import Checked
from dnsd.model.drain import Drain
from dnsd.model.node import Monitor, Node
from dnsd.model.report import Health, Report
from dnsd.model.state import FleetState
from tests.fleet.steps import CHANGES
from tests.support.fleets import (
    NOW,
    ROLES,
    ZONES,
    drain,
    fleet_of,
    gone,
    node,
    pool,
    pool_sets,
    put,
)

NAMES = ("n0", "n1", "n2")
View = Mapping[str, tuple[Node, tuple[RoleMember, ...]]]


def view(fleet: Fleet, now: float) -> View:
    """Return all that an adapter can show of each node."""
    return {
        key: (found, tuple(each for role in ROLES if (each := member_of(fleet, role, key, now=now)) is not None))
        for key, found in fleet.nodes.items()
    }


@st.composite
def steps(draw: st.DrawFn) -> tuple[str, object]:
    name = draw(st.sampled_from(NAMES))
    kind = draw(st.sampled_from((*CHANGES, "checked", "clock", "hold")))
    if kind in CHANGES:
        return kind, draw(CHANGES[kind](name))
    if kind == "checked":
        health = draw(st.sampled_from((Health.UP, Health.DOWN)))
        return kind, {name: {draw(st.sampled_from(ROLES)): Checked(health, draw(st.sampled_from("xy")))}}
    return kind, draw(st.booleans() if kind == "hold" else st.integers(-40, 40))


def take(fleet: Fleet, step: tuple[str, object], now: float) -> OverlayChange:
    """Take a step with a fleet; `now` has moved already."""
    kind, value = step
    if kind == "clock":
        return fleet.tick(now=now)
    if kind == "hold":
        return fleet.hold_freshness(now=now, held=bool(value))
    if kind == "checked":
        return fleet.checked(value, now=now)  # type: ignore[arg-type]
    if isinstance(value, Report):
        return fleet.report(value, now=now)
    assert isinstance(value, Node | Drain)
    return fleet.apply([(gone if kind.endswith("gone") else put)(value, fleet.revision + 1)], now=now)


@given(pools=pool_sets(), taken=st.lists(steps(), max_size=15))
def test_every_node_that_looks_different_is_touched(pools: tuple[object, ...], taken: list[tuple[str, object]]) -> None:
    """Whatever the cause: changes, reports, checks, time either way, and a store that is lost and back."""
    now = NOW
    fleet = Fleet(FleetSpec(zones=ZONES, pools=pools), {}, FleetState(), now=now)  # type: ignore[arg-type]
    before = view(fleet, now)
    for step in taken:
        if step[0] == "clock":
            assert isinstance(step[1], int)
            now += step[1]
        touched = take(fleet, step, now).touched
        after = view(fleet, now)
        different = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        assert different <= touched
        before = after


def test_what_says_nothing_new_touches_nobody() -> None:
    """Reports that say the same, agendas that were overtaken by a report, checks with the same result."""
    fleet = fleet_of([node("a", monitor=Monitor.AGENT), node("b", monitor=Monitor.CHECK)], [pool()])

    def report(at: float, *, up: bool = True) -> set[str]:
        said = Report(node="a", sequence=int(at), observed_at=at, received_at=at, health={"edge": up})
        return fleet.report(said, now=at).touched

    assert report(NOW) == {"a"}
    assert report(NOW + 20) == set()
    # The first report would be stale now; the second has taken its place.
    assert fleet.tick(now=NOW + 31).touched == set()
    assert fleet.tick(now=NOW + 50).touched == {"a"}
    assert report(NOW + 51) == {"a"}
    assert report(NOW + 52, up=False) == {"a"}
    up = {"b": {"edge": Checked(Health.UP, "fine")}}
    assert fleet.checked(up, now=NOW + 52).touched == {"b"}
    assert fleet.checked(up, now=NOW + 52).touched == set()
    assert fleet.checked({"b": {"edge": Checked(Health.UP, "better")}}, now=NOW + 52).touched == {"b"}


def test_a_node_in_no_pool_is_touched_like_any_other() -> None:
    """By a drain of it, by the drain's start and by its end, though no answer names it."""
    fleet = fleet_of([node("a", roles=("storage",))], [pool()])
    change = fleet.apply([put(drain("a", starts_at=NOW + 5, expires_at=NOW + 9), 1)], now=NOW)
    assert (change.touched, change.empty) == ({"a"}, True)
    assert fleet.tick(now=NOW + 5).touched == {"a"}
    assert fleet.tick(now=NOW + 8).touched == set()
    assert fleet.tick(now=NOW + 9).touched == {"a"}
