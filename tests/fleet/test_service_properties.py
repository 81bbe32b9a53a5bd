"""Over random fleets: pools of services name exactly whom a pool of addresses names, and change when that does."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_address

import dns.rdata
import dns.rdataclass
import dns.rdatatype
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.control.views import pool_info
from dnsd.core.constants import AAAA, HTTPS, SRV, SVCB, A
from dnsd.core.engine import Engine
from dnsd.core.fleet import Fleet
from dnsd.model.drain import Drain
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec, PoolType, Service
from tests.fleet.steps import Step, Stepper, steps
from tests.support.fleets import (
    NOW,
    PER_NODE,
    ask,
    drains,
    fleet_of,
    nodes,
    overlay_name,
    pool_sets,
    reports,
    snapshot_of,
)

NAMES = tuple(f"n{index}" for index in range(5))
KINDS = {PoolType.SRV: SRV, PoolType.SVCB: SVCB, PoolType.HTTPS: HTTPS}
QUESTIONS = 4


def equivalents(spec: PoolSpec) -> list[PoolSpec]:
    """Return a pool of addresses with HTTPS beside it, and one like it of each other type, with owners of their own."""
    others = [
        replace(
            spec,
            owner=f"{kind.value}-{spec.owner}",
            fallback=None if spec.fallback is None else f"{kind.value}-{spec.fallback}",
            type=kind,
            service=Service(port=1000, priority=1),
            targets=PER_NODE,
        )
        for kind in KINDS
    ]
    return [replace(spec, https=Service(alpn=("h2",))), *others]


@st.composite
def fleets(draw: st.DrawFn) -> tuple[tuple[PoolSpec, ...], Fleet]:
    """Draw pools of addresses, and a fleet that has each of them with every type."""
    plain = draw(pool_sets())
    priorities = st.sampled_from((None, 1, 7))
    there = [
        replace(draw(nodes(name)), priority=draw(priorities)) for name in sorted(draw(st.sets(st.sampled_from(NAMES))))
    ]
    placed = draw(st.lists(st.sampled_from(NAMES).flatmap(drains), max_size=6))
    fleet = fleet_of(there, [each for spec in plain for each in equivalents(spec)], placed)
    for report in draw(st.lists(st.sampled_from(NAMES).flatmap(reports), max_size=5)):
        if report.node in fleet.nodes:
            fleet.report(report, now=NOW)
    return plain, fleet


def named(text: str) -> set[str]:
    """Return the ids of the nodes whose names a text holds."""
    return set(re.findall(r"\b(n\d)\.nodes\.example\.org\.", text))


@given(fleets())
@settings(max_examples=50, deadline=None)
def test_records_name_exactly_the_selected_nodes(drawn: tuple[tuple[PoolSpec, ...], Fleet]) -> None:
    """The same nodes are selected for each type; answers take turns with all that there is room for, and no other."""
    plain, fleet = drawn
    engine = Engine(snapshot_of(fleet))
    for spec in plain:
        selected = {member.node.id for member in fleet.selection_of(spec.owner).members}
        for kind in KINDS:
            owner = f"{kind.value}-{spec.owner}"
            assert {member.node.id for member in fleet.selection_of(owner).members} == selected
            assert fleet.named(owner) == fleet.named(spec.owner)
            answers = pool_info(fleet, fleet.pools[owner], now=NOW).answers
            assert named(" ".join(answers)) == _with_room(selected, fleet.nodes, room=spec.max_answers)
            for _ in range(QUESTIONS):
                seen = [named(rrset.to_text()) for rrset in ask(engine, owner, kind.name).answer]
                assert set().union(*seen) <= selected
                assert sum(map(len, seen)) == 0 if not selected else 1 <= sum(map(len, seen)) <= spec.max_answers


def _with_room(selected: set[str], there: dict[str, Node], *, room: int) -> set[str]:
    """Return the nodes that come to be seen: those of each priority that there is room for."""
    found: set[str] = set()
    for priority in (1, 7):
        group = {key for key in selected if (there[key].priority or 1) == priority}
        if room > 0:
            found |= group
        room -= len(group)
    return found


@given(fleets())
@settings(max_examples=50, deadline=None)
def test_hints_are_the_addresses_that_are_answered(drawn: tuple[tuple[PoolSpec, ...], Fleet]) -> None:
    """The HTTPS record beside addresses takes turns with each of them, and with no other."""
    plain, fleet = drawn
    engine = Engine(snapshot_of(fleet))
    for spec in plain:
        rrsets = fleet.overlay[overlay_name(spec.owner)].rrsets
        addresses = {rdata for rdtype in (A, AAAA) if rdtype in rrsets for rdata in rrsets[rdtype].rdatas}
        whole = [hinted(HTTPS, rdata) for rdata in (rrsets[HTTPS].rdatas if HTTPS in rrsets else ())]
        assert set().union(*whole) == addresses
        for _ in range(QUESTIONS):
            for rrset in ask(engine, spec.owner, "HTTPS").answer:
                assert hinted(HTTPS, rrset[0].to_wire()) <= addresses
                assert bool(hinted(HTTPS, rrset[0].to_wire())) is bool(addresses)


def hinted(rdtype: int, rdata: bytes) -> set[bytes]:
    """Return the packed addresses that a record hints at."""
    kind = dns.rdatatype.RdataType.make(rdtype)
    text = dns.rdata.from_wire(dns.rdataclass.IN, kind, rdata, 0, len(rdata)).to_text()
    return {ip_address(each).packed for hint in re.findall(r'hint="(.*?)"', text) for each in hint.split(",")}


@given(pool_sets(), st.lists(steps(), max_size=20))
@settings(max_examples=60, deadline=None)
def test_stepping_equals_building_anew(plain: tuple[PoolSpec, ...], taken: list[Step]) -> None:
    """After any steps the overlay is the one that a server started at that moment would compile."""
    stepper = Stepper(tuple(each for spec in plain for each in equivalents(spec)))
    for step in taken:
        stepper.take(step)
    assert stepper.anew().overlay == stepper.fleet.overlay


@given(pool_sets(), st.lists(st.sampled_from("abc").flatmap(drains), max_size=6))
@settings(max_examples=40, deadline=None)
def test_the_countdown_is_to_the_first_instant_at_which_the_records_differ(
    plain: tuple[PoolSpec, ...], placed: list[Drain]
) -> None:
    """For every pool and type, as found by building the fleet anew at each instant."""
    there = [
        Node(id="a", addresses=("192.0.2.10",), roles=("edge",), region="eu"),
        Node(id="b", addresses=("192.0.2.10", "2001:db8::1"), roles=("edge", "ingest"), ports={"ingest": 9}),
        Node(id="c", addresses=("192.0.2.12",), roles=("edge",), region="us"),
    ]
    pools = [each for spec in plain for each in equivalents(spec)]
    fleet = fleet_of(there, pools, placed)
    edges = {edge for each in placed for edge in (each.starts_at, each.expires_at) if edge is not None and edge > NOW}
    at_edges = {instant: fleet_of(there, pools, placed, now=instant) for instant in sorted(edges)}
    for spec in pools:
        present = _seen(fleet, spec)
        expected: dict[int, float] = {}
        for instant, then in at_edges.items():
            for rdtype, records in _seen(then, spec).items():
                if records != present[rdtype]:
                    expected.setdefault(rdtype, instant)
        assert (fleet.overlay[overlay_name(spec.owner)].changes_at or {}) == expected


def _seen(fleet: Fleet, spec: PoolSpec) -> dict[int, set[bytes]]:
    """Return what the answers of a pool hold by type; of SRV without the weights, which are as fine as ramps need."""
    rrsets = fleet.overlay[overlay_name(spec.owner)].rrsets
    found = {}
    for rdtype in (A, AAAA) if spec.type is PoolType.ADDRESS else (KINDS[spec.type],):
        rdatas = rrsets[rdtype].rdatas if rdtype in rrsets else ()
        found[rdtype] = {rdata[:2] + rdata[4:] for rdata in rdatas} if rdtype == SRV else set(rdatas)
    if spec.type is PoolType.ADDRESS:
        found[HTTPS] = found[A] | found[AAAA]
    return found
