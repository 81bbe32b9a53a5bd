"""What a change costs, counted rather than timed: it depends on what changes, and not on how large the fleet is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.core.compile import pool_node
from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.core.fleet_change import OverlayChange
from dnsd.core.pool_index import PoolIndex
from dnsd.core.records import Delta
from dnsd.model.node import Monitor, Node
from dnsd.model.pool import PoolSpec
from dnsd.model.report import Report
from dnsd.model.state import FleetState
from tests.support.fleets import NOW, PER_NODE, ZONES, drain, gone, node, pool, put, snapshot_of

SMALL, LARGE = 6, 60  # pools, of as many nodes each
POOL_SIZE = 3


def fleet_of_pools(count: int, *, monitor: Monitor = Monitor.NONE) -> Fleet:
    """Return a fleet of so many pools, each with its own nodes."""
    pools = tuple(pool(f"p{number}.example.org.", match={"site": str(number)}) for number in range(count))
    nodes = {
        each.id: each
        for number in range(count * POOL_SIZE)
        for each in [member(f"n{number}", number, site=number // POOL_SIZE, monitor=monitor)]
    }
    return Fleet(FleetSpec(zones=ZONES, pools=pools, node_records=(PER_NODE,)), nodes, FleetState(), now=NOW)


def member(name: str, number: int, *, site: int, monitor: Monitor = Monitor.NONE) -> Node:
    return node(name, f"10.0.{number // 250}.{number % 250 + 1}", labels={"site": str(site)}, monitor=monitor)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a selector was tried, a pool compiled, and a node looked at."""
    counted: Counter[str] = Counter()

    def counting(kind: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **fields: object) -> object:
            counted[kind] += 1
            return function(*arguments, **fields)

        return call

    monkeypatch.setattr(PoolSpec, "selects", counting("selectors", PoolSpec.selects))
    monkeypatch.setattr("dnsd.core.fleet_pools.pool_node", counting("pools", pool_node))
    monkeypatch.setattr(Fleet, "_refresh", counting("nodes", Fleet._refresh))
    return counted


CHANGES: dict[str, Callable[[Fleet], OverlayChange]] = {
    "a drain": lambda fleet: fleet.apply([put(drain("n1"), 1)], now=NOW),
    "a release": lambda fleet: fleet.apply([gone(drain("n1"), 1)], now=NOW),
    "a registration": lambda fleet: fleet.apply([put(member("new", 999, site=1), 1)], now=NOW),
    "another selection": lambda fleet: fleet.apply([put(member("new", 999, site=2), 1)], now=NOW),
    "a removal": lambda fleet: fleet.apply([gone(member("new", 999, site=2), 1)], now=NOW),
    "a report": lambda fleet: fleet.report(Report(node="n1", sequence=1, observed_at=NOW, received_at=NOW), now=NOW),
    "a lost store": lambda fleet: fleet.hold_freshness(now=NOW, held=True),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_costs_as_much_in_a_large_fleet_as_in_a_small_one(
    calls: Counter[str], change: Callable[[Fleet], OverlayChange]
) -> None:
    """As many selectors are tried, pools compiled and nodes looked at; and few of each."""
    found = []
    for count in (SMALL, LARGE):
        fleet = fleet_of_pools(count)
        calls.clear()
        change(fleet)
        found.append(dict(calls))
    assert found[0] == found[1]
    assert all(number <= 2 for number in found[0].values())


def test_making_a_fleet_tries_a_selector_once_for_each_membership(calls: Counter[str]) -> None:
    """Not every pool for every node."""
    fleet_of_pools(LARGE)
    assert calls == {"selectors": LARGE * POOL_SIZE, "pools": LARGE, "nodes": LARGE * POOL_SIZE}


def test_a_store_that_is_back_costs_a_look_at_nobody_who_is_noted_already(calls: Counter[str]) -> None:
    """Reports whose time went on are noted from before; of the others only the next instant is."""
    fleet = fleet_of_pools(LARGE, monitor=Monitor.AGENT)
    for key in fleet.nodes:
        fleet.report(Report(node=key, sequence=1, observed_at=NOW, received_at=NOW, health={"edge": True}), now=NOW)
    calls.clear()
    fleet.hold_freshness(now=NOW + 1, held=True)
    fleet.hold_freshness(now=NOW + 2, held=False)
    assert calls == {}
    assert fleet.next_transition is not None


def test_a_delta_leaves_what_it_does_not_touch_the_same_objects() -> None:
    """In the snapshot that follows, and in its overlay, which is the very one of before."""
    fleet = fleet_of_pools(SMALL)
    snapshot = snapshot_of(fleet)
    before = dict(snapshot.overlay)
    change = fleet.apply([put(drain("n1"), 1)], now=NOW)
    delta = Delta(2, 1, put=change.put, removed=tuple(change.removed))
    replaced = snapshot.replaced_by(delta)
    after = snapshot.advanced(delta)
    assert after.overlay is snapshot.overlay
    assert after.overlay == fleet.overlay
    assert replaced.keys() == change.put.keys()
    assert all(replaced[name] is before[name] for name in replaced)
    assert {name for name, each in after.overlay.items() if each is not before[name]} == replaced.keys()
    assert len(replaced) == 1


# --- the index --------------------------------------------------------------------------------------------------

_words = st.sampled_from(("a", "b"))
_matches = st.dictionaries(st.sampled_from(("region", "cluster", "site", "rack")), _words, max_size=3)
_pools = st.lists(
    st.builds(lambda role, match: (role, match), st.sampled_from(("edge", "ingest")), _matches), max_size=12
)
_nodes = st.builds(
    lambda roles, region, cluster, labels: node("n", roles=roles, region=region, cluster=cluster, labels=labels),
    st.lists(st.sampled_from(("edge", "ingest", "storage")), min_size=1, max_size=3).map(tuple),
    st.none() | _words,
    st.none() | _words,
    st.dictionaries(st.sampled_from(("site", "rack", "region")), _words, max_size=3),
)


@given(_pools, _nodes)
def test_the_index_finds_what_trying_every_pool_would(wanted: list[tuple[str, dict[str, str]]], each: Node) -> None:
    """The same pools, each once, in the order of the configuration."""
    pools = [pool(f"p{place}.example.org.", role=role, match=match) for place, (role, match) in enumerate(wanted)]
    assert PoolIndex(pools).candidates(each) == [one for one in pools if one.selects(each)]
