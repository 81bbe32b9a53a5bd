"""What checks have found, in a fleet: who is answered, what it costs, and what a fleet anew knows of it."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.model.check import Checked
from dnsd.model.drain import Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.pool import WhenEmpty
from dnsd.model.report import Health, Report
from dnsd.model.state import FleetState
from tests.support.fleets import NOW, PER_NODE, ZONES, answered, drain, fleet_of, gone, node, pool, put

UP, DOWN, UNKNOWN = (Checked(health, health.value) for health in (Health.UP, Health.DOWN, Health.UNKNOWN))
EDGE = "edge.example.org."


def nodes(monitor: Monitor = Monitor.CHECK) -> tuple[Node, ...]:
    return tuple(
        node(name, f"192.0.2.{10 + place}", roles=("edge", "ingest"), monitor=monitor)
        for place, name in enumerate("abc")
    )


def edge(**found: Checked) -> Mapping[str, Mapping[str, Checked]]:
    return {key: {"edge": each} for key, each in found.items()}


def test_a_node_is_answered_where_its_checks_pass() -> None:
    """Unknown at first, so that the pool fails open; then those that are up."""
    fleet = fleet_of(nodes(), [pool()])
    assert answered(fleet, EDGE) == {"192.0.2.10", "192.0.2.11", "192.0.2.12"}
    change = fleet.checked(edge(a=UP, b=DOWN), now=NOW)
    assert answered(fleet, EDGE) == {"192.0.2.10"}
    assert change.health == {("a", "edge"): Health.UNKNOWN, ("b", "edge"): Health.UNKNOWN}
    assert {each.node for each in change.withdrawn} == {"b", "c"}
    assert fleet.checked(edge(a=UP, b=UP), now=NOW).health == {("b", "edge"): Health.DOWN}
    assert answered(fleet, EDGE) == {"192.0.2.10", "192.0.2.11"}


def test_another_reason_for_the_same_is_kept_and_compiles_nothing() -> None:
    """Another failure of a node that is down."""
    fleet = fleet_of(nodes(), [pool()])
    fleet.checked(edge(a=DOWN, b=UP), now=NOW)
    change = fleet.checked(edge(a=Checked(Health.DOWN, "4 failures")), now=NOW)
    assert (change.empty, change.pools, change.health) == (True, [], {})
    assert fleet.checks_of("a")["edge"].text == "4 failures"


def test_a_result_touches_the_pools_of_its_node_and_role_alone() -> None:
    """Of three pools, the one whose answers it changes is compiled."""
    pools = [pool(), pool("ingest.example.org.", role="ingest"), pool("us.example.org.", match={"region": "us"})]
    fleet = fleet_of(nodes(), pools)
    assert fleet.checked(edge(a=UP), now=NOW).pools == [EDGE]


def test_a_node_that_leaves_takes_its_results_along() -> None:
    """One that registers again under its id is unknown; results of a node that is not there are passed over."""
    fleet = fleet_of([], [pool()])
    there = nodes()[0]
    fleet.apply([put(there, 1)], now=NOW)
    fleet.checked(edge(a=UP, nobody=UP), now=NOW)
    assert (fleet.health_of(there, "edge", now=NOW), dict(fleet.checks_of("nobody"))) == (Health.UP, {})
    fleet.apply([gone(there, 2), put(there, 3)], now=NOW)
    assert fleet.health_of(there, "edge", now=NOW) is Health.UNKNOWN


def test_a_checked_node_does_not_get_stale() -> None:
    """Its reports count for nothing, so that nothing happens when the last one is old."""
    (a, *_) = nodes()
    fleet = fleet_of([a], [pool()])
    fleet.checked(edge(a=UP), now=NOW)
    fleet.report(Report(node="a", sequence=1, observed_at=NOW, received_at=NOW, health={"edge": False}), now=NOW)
    assert fleet.next_transition is None
    assert fleet.health_of(a, "edge", now=NOW + 1000) is Health.UP


def test_a_report_of_health_is_told_as_well() -> None:
    """Whatever makes a node's health another one: a report, or the want of one."""
    fleet = fleet_of(nodes(Monitor.AGENT), [pool()])
    report = Report(node="a", sequence=1, observed_at=NOW, received_at=NOW, health={"edge": True})
    assert fleet.report(report, now=NOW).health == {("a", "edge"): Health.UNKNOWN}
    assert fleet.tick(now=NOW + 30).health == {("a", "edge"): Health.UP}
    assert fleet.reported_health_of(fleet.nodes["a"], "edge", now=NOW + 30) is Health.STALE


FOUND = st.dictionaries(
    st.sampled_from("abc"), st.fixed_dictionaries({"edge": st.sampled_from((UP, DOWN, UNKNOWN))}), max_size=3
)
DRAINED = st.dictionaries(st.sampled_from("abc"), st.sampled_from((Mode.DRAINING, Mode.MAINTENANCE)))


@given(found=FOUND, drained=DRAINED, when_empty=st.sampled_from((WhenEmpty.NODATA, WhenEmpty.DRAINING)))
def test_no_result_brings_in_a_drained_node(
    found: dict[str, dict[str, Checked]], drained: dict[str, Mode], when_empty: WhenEmpty
) -> None:
    """Whatever checks find: those that drain only where nobody else is left and the pool says so, others never."""
    orders = [drain(name, mode=mode) for name, mode in drained.items()]
    fleet = fleet_of(nodes(), [pool(when_empty=when_empty)], orders)
    fleet.checked(found, now=NOW)
    modes = {each.addresses[0]: drained.get(each.id, Mode.NORMAL) for each in nodes()}
    got = {modes[address] for address in answered(fleet, EDGE)}
    if len(drained) < len(modes):
        assert got == {Mode.NORMAL}
    else:
        assert got <= ({Mode.DRAINING} if when_empty is WhenEmpty.DRAINING else set())
    assert answered(fleet, "a.nodes.example.org.") == {"192.0.2.10"}


STEPS = st.lists(
    st.dictionaries(
        st.sampled_from("abc"),
        st.dictionaries(st.sampled_from(("edge", "ingest")), st.sampled_from((UP, DOWN, UNKNOWN))),
    ),
    max_size=6,
)


@given(steps=STEPS, monitor=st.sampled_from((Monitor.AGENT, Monitor.CHECK)))
def test_a_fleet_step_by_step_is_one_made_anew(steps: list[dict[str, dict[str, Checked]]], monitor: Monitor) -> None:
    """Result by result, or all at once as after a reload: the same answers."""
    pools = (pool(), pool("ingest.example.org.", role="ingest"), pool("f.example.org.", match={"region": "us"}))
    stepped = fleet_of(nodes(monitor), pools)
    for step in steps:
        stepped.checked(step, now=NOW)
    spec = FleetSpec(zones=ZONES, pools=pools, node_records=(PER_NODE,))
    anew = Fleet(spec, {each.id: each for each in nodes(monitor)}, FleetState(), now=NOW, checked=stepped.checked_nodes)
    for each in pools:
        assert stepped.members_of(each.owner) == anew.members_of(each.owner)
        assert answered(stepped, each.owner) == answered(anew, each.owner)
