"""TTLs that count down to the drains and expiries that change an answer, and leave every other answer alone."""

from __future__ import annotations

import dns.message
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.core.engine import Engine
from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.core.via import TCP
from dnsd.model.drain import Drain, Mode
from dnsd.model.node import Monitor
from dnsd.model.pool import PoolSpec, WhenEmpty
from dnsd.model.report import Report
from tests.support.dnsmessages import zone_of
from tests.support.fleets import (
    NOW,
    PER_NODE,
    answered,
    drain,
    drains,
    fleet_of,
    gone,
    node,
    overlay_name,
    pool,
    pool_sets,
    put,
    snapshot_of,
)

EDGE = "edge.example.org."
T = NOW + 100
A, B = node("a", "192.0.2.10"), node("b", "192.0.2.11", "2001:db8::11")
NEGATIVE_TTL = 60


def ttl_at(fleet: Fleet, instant: float, name: str = EDGE, rdtype: str = "A") -> int:
    """Return the TTL of the last record of an answer, or of the SOA of a NODATA."""
    query = dns.message.make_query(name, rdtype)
    engine = Engine(snapshot_of(fleet))
    packet = engine.respond(query.to_wire(), now=instant, via=TCP, peer="")
    assert packet is not None
    response = dns.message.from_wire(packet)
    return (response.additional or response.answer or response.authority)[-1].ttl


@pytest.mark.parametrize(
    ("before", "ttl"), [(100.0, 30), (30.0, 30), (29.9, 29), (12.0, 12), (1.5, 1), (0.3, 1), (0.0, 1), (-2.0, 1)]
)
def test_an_answer_lives_no_longer_than_until_the_drain_starts(before: float, ttl: int) -> None:
    """min(ttl, T - now) in whole seconds, 1 at least, also after T until the next generation is there."""
    fleet = fleet_of([A, B], [pool()], [drain("a", starts_at=T)])
    assert ttl_at(fleet, T - before) == ttl


def test_the_answer_after_the_start_has_its_whole_ttl() -> None:
    """The tick at T brings the answer without the node, which nothing is due to change."""
    fleet = fleet_of([A, B], [pool()], [drain("a", starts_at=T)])
    fleet.tick(now=T)
    assert answered(fleet, EDGE) == {"192.0.2.11", "2001:db8::11"}
    assert ttl_at(fleet, T) == 30


def test_an_expiry_counts_down_the_answer_without_the_node() -> None:
    """The node is due back at T, with the answer that has it."""
    fleet = fleet_of([A, B], [pool()], [drain("a", expires_at=T)])
    assert (ttl_at(fleet, T - 31), ttl_at(fleet, T - 7)) == (30, 7)
    assert ttl_at(fleet, T - 7, rdtype="AAAA") == 30


def test_of_start_and_expiry_the_next_one_counts() -> None:
    """Before the start to the start, after it to the expiry."""
    fleet = fleet_of([A, B], [pool()], [drain("a", starts_at=T, expires_at=T + 10)])
    assert ttl_at(fleet, T - 3) == 3
    fleet.tick(now=T)
    assert ttl_at(fleet, T + 2) == 8


def test_a_family_that_the_node_does_not_have_keeps_its_ttl() -> None:
    """The IPv6 answer is the same after the drain; so is the NODATA of a type that no pool has."""
    fleet = fleet_of([A, B], [pool()], [drain("a", starts_at=T)])
    assert (ttl_at(fleet, T - 5, rdtype="A"), ttl_at(fleet, T - 5, rdtype="AAAA")) == (5, 30)
    assert ttl_at(fleet, T - 5, rdtype="TXT") == NEGATIVE_TTL


@pytest.mark.parametrize(
    "others",
    [
        [drain("a", holder="os-update")],
        [drain("a", holder="os-update", mode=Mode.MAINTENANCE, expires_at=T + 500)],
        [drain("a", holder="os-update", expires_at=T)],
    ],
    ids=["another holder's is in force", "a stronger one", "one ends as the other starts"],
)
def test_a_drain_that_changes_nothing_clips_nothing(others: list[Drain]) -> None:
    """Another drain keeps the node out the same."""
    fleet = fleet_of([A, B], [pool()], [drain("a", starts_at=T, expires_at=T + 400), *others])
    assert ttl_at(fleet, T - 5) == 30


def test_a_drain_that_a_fallback_makes_up_for_clips_nothing() -> None:
    """`when_empty = draining` goes on with the same node; another pool has the same address."""
    same = pool(when_empty=WhenEmpty.DRAINING)
    assert ttl_at(fleet_of([A], [same], [drain("a", starts_at=T)]), T - 5) == 30
    other = pool("other.example.org.", match={"region": "us"})
    spec = pool(match={"region": "eu"}, when_empty=WhenEmpty.POOL, fallback=other.owner)
    fleet = fleet_of([A, node("twin", "192.0.2.10", region="us")], [spec, other], [drain("a", starts_at=T)])
    assert ttl_at(fleet, T - 5) == 30


def test_a_drain_in_the_pool_that_another_falls_back_to_counts_for_both() -> None:
    """An answer from a fallback changes with the pool that it comes from."""
    other = pool("other.example.org.", match={"region": "us"})
    spec = pool(match={"region": "eu"}, when_empty=WhenEmpty.POOL, fallback=other.owner)
    away = [node("c", "192.0.2.12", region="us"), node("d", "192.0.2.13", region="us")]
    fleet = fleet_of([A, *away], [spec, other], [drain("a")])
    fleet.apply([put(drain("c", starts_at=T), 1)], now=NOW)
    assert (ttl_at(fleet, T - 5), ttl_at(fleet, T - 5, other.owner)) == (5, 5)


def test_nodata_that_an_expiry_will_fill_counts_down_too() -> None:
    """The SOA's TTL is that of the negative answer; the family that nobody will have keeps it."""
    fleet = fleet_of([A], [pool()], [drain("a", expires_at=T)])
    assert (ttl_at(fleet, T - 70), ttl_at(fleet, T - 20), ttl_at(fleet, T - 20, rdtype="ANY")) == (60, 20, 20)
    assert ttl_at(fleet, T - 20, rdtype="AAAA") == NEGATIVE_TTL


def test_cancelling_and_moving_take_effect_at_once() -> None:
    """A schedule that is placed, moved and cancelled is a change of the answers each time."""
    fleet = fleet_of([A, B], [pool()])
    order = drain("a", starts_at=T)
    assert overlay_name(EDGE) in fleet.apply([put(order, 1)], now=NOW).put
    assert ttl_at(fleet, T - 5) == 5
    fleet.apply([put(drain("a", starts_at=T + 10), 2)], now=NOW)
    assert ttl_at(fleet, T - 5) == 15
    assert overlay_name(EDGE) in fleet.apply([gone(order, 3)], now=NOW).put
    assert ttl_at(fleet, T - 5) == 30


def test_an_expiry_brings_nothing_back_that_is_not_up() -> None:
    """A silent node stays out when its drain ends; once it reports, its return counts down."""
    silent = node("a", "192.0.2.10", monitor=Monitor.AGENT)
    fleet = fleet_of([silent, B], [pool()], [drain("a", expires_at=NOW + 20)])
    assert ttl_at(fleet, NOW + 15) == 30
    up = Report(node="a", sequence=1, observed_at=NOW, received_at=NOW + 14, health={"edge": True})
    fleet.report(up, now=NOW + 14)
    assert ttl_at(fleet, NOW + 15) == 5


def test_whatever_leads_to_a_pool_shows_its_countdown() -> None:
    """Behind an alias, whose own TTL stays, and beside a mail exchange."""
    zone = zone_of("@ NS ns1\nns1 A 192.0.2.1\nalias 300 CNAME edge\nmx 300 MX 10 edge")
    fleet = fleet_of([A, B], [pool()], [drain("a", starts_at=T)])
    spec = FleetSpec(zones={zone.apex: zone}, pools=(pool(),), node_records=(PER_NODE,))
    fleet = Fleet(spec, {"a": A, "b": B}, fleet.state, now=NOW)
    for name, rdtype in (("alias.example.org.", "A"), ("edge.example.org.", "ANY")):
        assert ttl_at(fleet, T - 5, name, rdtype) == 5
    query = dns.message.make_query("mx.example.org.", "MX").to_wire()
    packet = Engine(snapshot_of(fleet)).respond(query, now=T - 5, via=TCP, peer="")
    assert packet is not None
    response = dns.message.from_wire(packet)
    ttls = {dns.rdatatype.to_text(rrset.rdtype): rrset.ttl for rrset in (*response.answer, *response.additional)}
    assert ttls == {"MX": 300, "A": 5, "AAAA": 30}


@given(pool_sets(), st.lists(st.sampled_from("abc").flatmap(drains), max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_countdown_is_to_the_first_instant_at_which_the_answer_differs(
    pools: tuple[PoolSpec, ...], placed: list[Drain]
) -> None:
    """For every pool and family, as found by building the fleet anew at each second; per-node names have none."""
    nodes = [
        A,
        node("b", "192.0.2.10", "2001:db8::1", roles=("edge", "ingest")),
        node("c", "192.0.2.12", region="us", monitor=Monitor.AGENT),
    ]
    fleet = fleet_of(nodes, pools, placed)
    edges = {edge for each in placed for edge in (each.starts_at, each.expires_at) if edge is not None and edge > NOW}
    for spec in pools:
        name = overlay_name(spec.owner)
        present = _addresses(fleet, name)
        expected: dict[int, float] = {}
        for instant in sorted(edges):
            then = _addresses(fleet_of(nodes, pools, placed, now=instant), name)
            for rdtype in (1, 28):
                if then[rdtype] != present[rdtype]:
                    expected.setdefault(rdtype, instant)
        assert (fleet.overlay[name].changes_at or {}) == expected
    for each in nodes:
        assert fleet.overlay[overlay_name(f"{each.id}.nodes.example.org.")].changes_at is None


def _addresses(fleet: Fleet, name: bytes) -> dict[int, set[bytes]]:
    rrsets = fleet.overlay[name].rrsets
    return {rdtype: set(rrsets[rdtype].rdatas) if rdtype in rrsets else set() for rdtype in (1, 28)}
