"""Ramps in a fleet: caps follow time step by step, and stepping equals building anew."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.model.drain import Drain, Mode
from dnsd.model.state import Change, ChangeRecord, Entity
from tests.support.fleets import NOW, answered, drain, fleet_of, node, pool

NODES = [node(name, f"192.0.2.{10 + index}", roles=("edge", "ingest")) for index, name in enumerate("abc")]
POOLS = [pool(max_answers=2), pool("ingest.example.org.", role="ingest")]

ramps = st.builds(
    lambda name, holder, role, start, length: drain(
        name,
        holder=holder,
        role=role,
        mode=Mode.NORMAL,
        starts_at=NOW - start,
        expires_at=NOW - start + length,
    ),
    st.sampled_from("abc"),
    st.sampled_from(("ops", "os-update")),
    st.sampled_from(("*", "edge", "ingest")),
    st.integers(0, 20),
    st.integers(1, 60),
)


@given(st.lists(ramps, min_size=1, max_size=4), st.lists(st.integers(1, 9), max_size=12))
@settings(max_examples=100, deadline=None)
def test_stepping_through_ramps_equals_building_anew(placed: list[Drain], waits: list[int]) -> None:
    """At every instant the overlay is the one that a server which starts then would compile."""
    fleet = fleet_of(NODES, POOLS, placed)
    now = NOW
    for seconds in waits:
        now += seconds
        fleet.tick(now=now)
        assert fleet.overlay == fleet_of(NODES, POOLS, placed, now=now).overlay


@given(st.integers(10, 86_400))
@settings(max_examples=30, deadline=None)
def test_the_next_transition_is_each_step_of_a_ramp_in_turn(length: int) -> None:
    """Nine instants, the last of which is the end; each one raises the cap, and nothing else happens between them."""
    fleet = fleet_of(NODES, POOLS[:1], [drain("a", mode=Mode.NORMAL, expires_at=NOW + length)])
    caps = [fleet.members_of(POOLS[0].owner)[0].share_cap]
    while (due := fleet.next_transition) is not None:
        fleet.tick(now=due)
        caps.append(fleet.members_of(POOLS[0].owner)[0].share_cap)
    assert caps == [step / 10 for step in range(1, 11)]


def test_pools_whose_nodes_all_ramp_are_never_empty() -> None:
    """Somebody must take the load: the shares of all are raised together."""
    placed = [drain(name, mode=Mode.NORMAL, expires_at=NOW + 3600) for name in "abc"]
    fleet = fleet_of(NODES, POOLS, placed)
    for owner in fleet.pools:
        assert answered(fleet, owner, times=30) == {"192.0.2.10", "192.0.2.11", "192.0.2.12"}


def test_a_ramp_is_in_the_state_of_a_fleet_and_not_among_its_drains() -> None:
    """A reload, which builds the fleet anew from its state, keeps it."""
    ramp = drain("a", mode=Mode.NORMAL, expires_at=NOW + 60)
    fleet = fleet_of(NODES, POOLS, [ramp, drain("a", holder="os-update")])
    assert set(fleet.state.drains.values()) == set(fleet.orders_of("a"))
    assert ramp in fleet.orders_of("a")
    assert [each.holder for each in (*fleet.drains_of("a"), *fleet.all_drains())] == ["os-update"] * 2
    fleet.apply([ChangeRecord(1, NOW, Change(Entity.DRAIN, ramp.key.text, None))], now=NOW)
    assert fleet.orders_of("a") == fleet.drains_of("a")
