"""Who is chosen: modes, health, regions, exclusions, sessions, fallbacks, and why there is nobody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.model.drain import Mode
from dnsd.model.node import Monitor
from dnsd.model.report import Health
from dnsd.router import (
    AllDown,
    AllDrained,
    AllExcluded,
    FleetView,
    NoNodes,
    NotLoaded,
    Purpose,
    RolePolicy,
    Router,
    UnknownRole,
)
from dnsd.router.selection import FALLBACK_DRAINING, FALLBACK_ROLE, KEPT, PLACED, PLACED_UNHEALTHY, SOURCE
from tests.router.fleets import NOW, ROLE, a_drain, a_node, a_report, a_router, member_of, placement

NODES = [a_node(f"edge-{number}", region="eu" if number < 3 else "us") for number in range(6)]


def chosen(router: Router, **more: Any) -> set[str]:
    """Return the nodes that any of many keys gets."""
    return set(placement(router, 200, **more).values())


def test_a_drained_node_gets_no_new_session() -> None:
    """Draining or in maintenance, for the role or for all; another role of the node is still placed."""
    nodes = [a_node(f"n{number}", roles=("edge", "ingest")) for number in range(4)]
    drains = [a_drain("n0"), a_drain("n1", mode=Mode.MAINTENANCE), a_drain("n2", role="edge")]
    router = a_router(nodes, drains)
    assert chosen(router) == {"n3"}
    ingest = {router.select("ingest", key=key).node.id for key in map(str, range(100))}
    assert ingest == {"n2", "n3"}


def test_a_choice_says_what_it_rests_on() -> None:
    """The node as it is, and the revision of the drains that were obeyed."""
    choice = a_router(NODES[:1]).select(ROLE, key="k")
    assert (choice.node, choice.role, choice.mode, choice.health, choice.reason, choice.revision) == (
        NODES[0], ROLE, Mode.NORMAL, Health.UP, PLACED, 1,
    )  # fmt: skip


def test_healthy_nodes_come_first_and_unhealthy_ones_beat_none() -> None:
    """Down, silent and never heard of: used when nobody else is undrained, unless the role does not fail open."""
    nodes = [a_node(f"n{number}", monitor=Monitor.AGENT) for number in range(4)]
    reports = [a_report("n0"), a_report("n1", up=False), a_report("n2", at=NOW - 60)]
    assert chosen(a_router(nodes, reports=reports)) == {"n0"}
    router = a_router(nodes, [a_drain("n0")], reports)
    assert chosen(router) == {"n1", "n2", "n3"}
    assert router.select(ROLE, key="k").reason == PLACED_UNHEALTHY
    closed = a_router(nodes, [a_drain("n0")], reports, policies={ROLE: RolePolicy(fails_open=False)})
    with pytest.raises(AllDown):
        closed.select(ROLE, key="k")


def test_a_near_region_is_tried_first() -> None:
    """Then everywhere; a region that nobody has is no obstacle."""
    assert chosen(a_router(NODES), near="eu") == {"edge-0", "edge-1", "edge-2"}
    drains = [a_drain(f"edge-{number}") for number in range(3)]
    assert chosen(a_router(NODES, drains), near="eu") == {"edge-3", "edge-4", "edge-5"}
    assert chosen(a_router(NODES), near="mars") == {node.id for node in NODES}


def test_a_healthy_node_afar_beats_an_unhealthy_one_near() -> None:
    """Near first within each tier, not before it."""
    nodes = [a_node("near", region="eu", monitor=Monitor.AGENT), a_node("far", region="us")]
    assert chosen(a_router(nodes), near="eu") == {"far"}


def test_excluded_nodes_are_not_chosen_and_keys_of_others_stay() -> None:
    """As if the excluded one were drained, for this request alone."""
    router = a_router(NODES)
    before, after = placement(router), placement(router, exclude={"edge-1"})
    assert {key for key in before if before[key] != after[key]} == {key for key in before if before[key] == "edge-1"}
    with pytest.raises(AllExcluded):
        router.select(ROLE, key="k", exclude={node.id for node in NODES})


def test_a_node_without_weight_is_never_chosen() -> None:
    """Also where it is the only one."""
    assert chosen(a_router([*NODES[:2], a_node("idle", weight=0)])) == {"edge-0", "edge-1"}
    with pytest.raises(NoNodes):
        a_router([a_node("idle", weight=0)]).select(ROLE, key="k")


def test_why_there_is_nobody() -> None:
    """Each reason is an error of its own, with a stable id."""
    with pytest.raises(NotLoaded):
        Router(FleetView()).select(ROLE, key="k")
    with pytest.raises(UnknownRole):
        a_router(NODES).select("storage", key="k")
    with pytest.raises(NoNodes):
        a_router(NODES, policies={"storage": RolePolicy()}).select("storage", key="k")
    drains = [a_drain("edge-0", reason="disk"), a_drain("edge-0", mode=Mode.MAINTENANCE, holder="os-update")]
    with pytest.raises(AllDrained) as caught:
        a_router(NODES[:1], drains).select(ROLE, key="k")
    assert [(each.holder, each.reason) for each in caught.value.drains] == [("os-update", "a test"), ("ops", "disk")]


def test_the_source_of_a_live_stream_is_where_it_was_before_the_drain() -> None:
    """For `SOURCE`, a draining node keeps its keys; one in maintenance does not."""
    before = placement(a_router(NODES))
    draining = a_router(NODES, [a_drain("edge-1")])
    assert placement(draining, purpose=Purpose.SOURCE) == before
    assert draining.select(ROLE, key="1", purpose=Purpose.SOURCE).reason == SOURCE
    maintained = a_router(NODES, [a_drain("edge-1", mode=Mode.MAINTENANCE)])
    assert "edge-1" not in placement(maintained, purpose=Purpose.SOURCE).values()


@pytest.mark.parametrize(
    ("mode", "up", "stays"),
    [
        (Mode.NORMAL, True, True),
        (Mode.DRAINING, True, True),
        (Mode.MAINTENANCE, True, False),
        (Mode.DRAINING, False, False),
    ],
    ids=["normal", "draining", "maintenance", "draining-and-down"],
)
def test_an_existing_session_stays_while_its_node_drains(mode: Mode, up: bool, stays: bool) -> None:
    """Not in maintenance, and not on a node that is known to be down."""
    nodes = [a_node("edge-1", monitor=Monitor.AGENT)]
    drains = [a_drain("edge-1", mode=mode)] if mode is not Mode.NORMAL else []
    choice = a_router(nodes, drains, [a_report("edge-1", up=up)]).keep(ROLE, "edge-1")
    assert (choice is not None) == stays
    if choice is not None:
        assert (choice.reason, choice.mode) == (KEPT, mode)


def test_a_session_on_a_node_that_is_gone_is_placed_anew() -> None:
    """A removed node, or one that has lost the role."""
    router = a_router(NODES)
    assert router.keep(ROLE, "edge-9") is None
    assert router.keep("ingest", "edge-1") is None


def test_a_fallback_is_used_only_where_all_are_drained() -> None:
    """Draining nodes, never those in maintenance; or another role."""
    all_drained = [a_drain("n0"), a_drain("n1", mode=Mode.MAINTENANCE)]
    nodes = [a_node("n0"), a_node("n1"), a_node("o0", roles=("origin",))]
    for policy, node, reason in (
        (RolePolicy(uses_draining=True), "n0", FALLBACK_DRAINING),
        (RolePolicy(other_role="origin"), "o0", FALLBACK_ROLE),
    ):
        choice = a_router(nodes, all_drained, policies={ROLE: policy}).select(ROLE, key="k")
        assert (choice.node.id, choice.reason) == (node, reason)
        assert a_router(nodes, all_drained[1:], policies={ROLE: policy}).select(ROLE, key="k").reason == PLACED
    with pytest.raises(AllDrained):
        a_router(nodes, [*all_drained, a_drain("o0")], policies={ROLE: RolePolicy(other_role="origin")}).select(ROLE)


def test_a_node_with_more_than_its_part_of_sessions_is_passed_over() -> None:
    """Only with a factor, only for new sessions, and not where nobody has room."""
    nodes = [a_node(f"n{number}", monitor=Monitor.AGENT) for number in range(4)]
    reports = [a_report("n0", sessions=100), *(a_report(f"n{number}", sessions=10) for number in (1, 2, 3))]
    counting = a_router(nodes, reports=reports, session_factor=1.25)
    assert chosen(counting) == {"n1", "n2", "n3"}
    assert chosen(counting, purpose=Purpose.SOURCE) == {"n0", "n1", "n2", "n3"}
    assert chosen(a_router(nodes, reports=reports)) == {"n0", "n1", "n2", "n3"}
    assert chosen(counting, exclude={"n1", "n2", "n3"}) == {"n0"}


def test_placed_sessions_count_until_the_node_reports() -> None:
    """So that a node is not overrun between two reports, also when something else about it changes meanwhile."""
    nodes = [a_node(f"n{number}", monitor=Monitor.AGENT) for number in range(4)]
    router = a_router(nodes, reports=[a_report(node.id) for node in nodes], session_factor=1.1)
    counts = dict.fromkeys((node.id for node in nodes), 0)
    for key in map(str, range(400)):
        choice = router.select(ROLE, key=key)
        router.placed(choice)
        counts[choice.node.id] += 1
    assert max(counts.values()) <= 112
    router.view.hold(NOW)
    assert {member_of(router.view, name).sessions for name in counts} == set(counts.values())
    router.view.take_reports([a_report("n0", sequence=2, sessions=7)], now=NOW)
    assert member_of(router.view, "n0").sessions == 7


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_no_drained_node_is_ever_chosen(data: st.DataObject) -> None:
    """Whatever the fleet, its health and its drains: one in maintenance for nothing, a draining one for no new one."""
    ids = [f"n{number}" for number in range(data.draw(st.integers(1, 8)))]
    modes = {name: data.draw(st.sampled_from(list(Mode))) for name in ids}
    nodes = [a_node(name, monitor=data.draw(st.sampled_from(list(Monitor)))) for name in ids]
    reports = [a_report(name, up=data.draw(st.booleans())) for name in ids]
    drains = [a_drain(name, mode=mode) for name, mode in modes.items() if mode is not Mode.NORMAL]
    router = a_router(nodes, drains, reports)
    for purpose, worst in ((Purpose.NEW, Mode.NORMAL), (Purpose.SOURCE, Mode.DRAINING)):
        usable = {name for name, mode in modes.items() if mode <= worst}
        if usable:
            assert chosen(router, purpose=purpose) <= usable
        else:
            with pytest.raises(AllDrained):
                router.select(ROLE, key="k", purpose=purpose)


def test_without_a_key_nodes_are_chosen_by_weight() -> None:
    """Any of them may come."""
    router = a_router(NODES[:2])
    assert {router.select(ROLE).node.id for _ in range(200)} == {"edge-0", "edge-1"}
