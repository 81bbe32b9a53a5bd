"""The records of a zone as a secondary gets them, written as a master file has them."""

from __future__ import annotations

from collections import Counter

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.core.names import from_text
from dnsd.core.records import Zone
from dnsd.core.zonecontent import laid_over, records_of, soa_at
from dnsd.core.zoneversion import ZoneRecord
from dnsd.model.node import Node
from dnsd.model.pool import NodeRecordSpec, PoolSpec, PoolType, Service, WhenEmpty
from dnsd.model.state import FleetState
from tests.support.dnsmessages import records_of as rrsets_of
from tests.support.dnsmessages import zone_of
from tests.support.fleets import NOW, PER_NODE, drain, node, pool
from tests.support.images import image_of

ZONE = """
    @ 300 SOA ns1 hostmaster 7 7200 900 1209600 60
    @ 300 NS ns1
    ns1 A 192.0.2.1
    www CNAME edge
    Sub NS ns.sub
    ns.sub A 192.0.2.53
    deep.ns.sub TXT "hidden"
    old DNAME new
    x.old TXT "hidden too"
    edge TXT "beside the pool"
    a.nodes TXT "beside the node"
"""


def text_of(record: ZoneRecord) -> str:
    name = dns.name.from_wire(record.owner, 0)[0]
    rdtype = dns.rdatatype.RdataType.make(record.rdtype)
    rdata = dns.rdata.from_wire(dns.rdataclass.IN, rdtype, record.rdata, 0, len(record.rdata))
    return f"{name} {record.ttl} {dns.rdatatype.to_text(rdtype)} {rdata}"


def content(
    nodes: list[Node],
    pools: list[PoolSpec],
    *zones: Zone,
    drained: str = "",
    records: tuple[NodeRecordSpec, ...] = (PER_NODE,),
) -> dict[str, list[str]]:
    """Return the records of each zone, by its name."""
    by_apex = {zone.apex: zone for zone in zones or (zone_of(ZONE),)}
    spec = FleetSpec(zones=by_apex, pools=tuple(pools), node_records=records)
    drains = [drain(name) for name in drained.split()]
    state = FleetState(drains={each.key: each for each in drains})
    fleet = Fleet(spec, {each.id: each for each in nodes}, state, now=NOW)
    laid = laid_over(by_apex, fleet.overlay)
    return {
        dns.name.from_wire(apex, 0)[0].to_text(): sorted(map(text_of, records_of(zone, laid[apex])))
        for apex, zone in by_apex.items()
    }


def test_a_zone_has_its_file_with_the_fleet_over_it() -> None:
    """Pools with all their addresses and their TTL, per-node names, other types beside, glue and what is hidden."""
    nodes = [node("a", "192.0.2.10", "2001:db8::10"), node("b", "192.0.2.11"), node("c", "192.0.2.12")]
    expected = [
        "a.nodes.example.org. 300 A 192.0.2.10",
        "a.nodes.example.org. 300 AAAA 2001:db8::10",
        'a.nodes.example.org. 300 TXT "beside the node"',
        "b.nodes.example.org. 300 A 192.0.2.11",
        "c.nodes.example.org. 300 A 192.0.2.12",
        'deep.ns.sub.example.org. 300 TXT "hidden"',
        "edge.example.org. 20 A 192.0.2.10",
        "edge.example.org. 20 A 192.0.2.11",
        "edge.example.org. 20 AAAA 2001:db8::10",
        'edge.example.org. 300 TXT "beside the pool"',
        "example.org. 300 NS ns1.example.org.",
        "ns.sub.example.org. 300 A 192.0.2.53",
        "ns1.example.org. 300 A 192.0.2.1",
        "old.example.org. 300 DNAME new.example.org.",
        "sub.example.org. 300 NS ns.sub.example.org.",
        "www.example.org. 300 CNAME edge.example.org.",
        'x.old.example.org. 300 TXT "hidden too"',
    ]
    # Of a sample of one, a secondary has all that may be in it.
    fleet = (nodes, [pool(ttl=20, max_answers=1)])
    assert content(*fleet, drained="c") == {"example.org.": expected}
    assert content(*fleet, image_of(from_text("example.org."), rrsets_of(ZONE, "example.org.")), drained="c") == {
        "example.org.": expected
    }


EMPTIES = (WhenEmpty.NODATA, WhenEmpty.SERVFAIL)


@pytest.mark.parametrize("when_empty", EMPTIES)
def test_an_empty_pool_has_no_record_of_its_types(when_empty: WhenEmpty) -> None:
    """Whether it answers NODATA or SERVFAIL; what the zone file has beside it stays, and is enough."""
    (records,) = content([node("a")], [pool(when_empty=when_empty)], drained="a", records=()).values()
    assert [record for record in records if record.startswith("edge.")] == [
        'edge.example.org. 300 TXT "beside the pool"'
    ]


@pytest.mark.parametrize("when_empty", EMPTIES)
@pytest.mark.parametrize("owner", ["alone.example.org.", "*.example.org.", "_x._tcp.example.org."])
def test_an_empty_pool_that_is_alone_at_its_name_has_a_placeholder(owner: str, when_empty: WhenEmpty) -> None:
    """With the pool's TTL, so that a secondary answers NODATA; while a node serves there is none."""
    kind = {"type": PoolType.SRV, "targets": PER_NODE} if owner.startswith("_") else {}
    fleet = [node("a", ports={"edge": 443})], [pool(owner, ttl=20, when_empty=when_empty, **kind)]
    (full,), (empty,) = content(*fleet).values(), content(*fleet, drained="a").values()
    at_owner = [[record for record in records if record.startswith(f"{owner} ")] for records in (full, empty)]
    assert at_owner[1] == [f'{owner} 20 TXT "no node of this pool serves"']
    assert len(at_owner[0]) == 1
    assert "TXT" not in at_owner[0][0]


@given(
    st.sets(st.sampled_from(["edge", "alone", "*", "*.edge", "www2.edge", "_x._tcp", "@", "x.alone"])),
    st.sampled_from([*EMPTIES, WhenEmpty.DRAINING]),
    st.sets(st.sampled_from("ab")),
    st.booleans(),
)
def test_every_pool_has_a_record_in_the_zone(
    labels: set[str], when_empty: WhenEmpty, drained: set[str], in_image: bool
) -> None:
    """Whatever its nodes do, and whatever stands beside, above or below it."""
    owners = ["example.org." if label == "@" else f"{label}.example.org." for label in labels]
    zone = image_of(from_text("example.org."), rrsets_of(ZONE, "example.org.")) if in_image else zone_of(ZONE)
    pools = [pool(owner, when_empty=when_empty) for owner in owners]
    (records,) = content([node("a"), node("b")], pools, zone, drained=" ".join(sorted(drained))).values()
    assert {record.split()[0] for record in records} >= set(owners)


def test_what_points_to_nodes_is_there_once() -> None:
    """SRV and HTTPS records of each node, HTTPS beside addresses, and an address that two nodes share, once."""
    shared = [node("a", "192.0.2.10", ports={"edge": 443}), node("b", "192.0.2.10", ports={"edge": 444})]
    pools = [
        pool(https=Service(alpn=("h2",))),
        pool("_x._tcp.example.org.", type=PoolType.SRV, targets=PER_NODE),
        pool("svc.example.org.", type=PoolType.HTTPS, targets=PER_NODE, max_answers=1, service=Service(priority=1)),
    ]
    (records,) = content(shared, pools).values()
    assert max(Counter(records).values()) == 1
    assert [record for record in records if record.startswith(("edge.", "_x.", "svc."))] == [
        "_x._tcp.example.org. 30 SRV 0 100 443 a.nodes.example.org.",
        "_x._tcp.example.org. 30 SRV 0 100 444 b.nodes.example.org.",
        "edge.example.org. 30 A 192.0.2.10",
        'edge.example.org. 30 HTTPS 1 . alpn="h2" ipv4hint="192.0.2.10"',
        'edge.example.org. 300 TXT "beside the pool"',
        'svc.example.org. 30 HTTPS 1 a.nodes.example.org. port="443" ipv4hint="192.0.2.10"',
        'svc.example.org. 30 HTTPS 1 b.nodes.example.org. port="444" ipv4hint="192.0.2.10"',
    ]


def test_a_child_zone_has_its_own_names_and_the_parent_what_its_file_says() -> None:
    """The fleet's names below the child's apex are the child's alone; the delegation and its glue are the parent's."""
    child = zone_of("@ NS ns\nns A 192.0.2.53", apex="sub.example.org.")
    pools = [pool(), pool("edge.sub.example.org.")]
    found = content([node("a")], pools, zone_of(ZONE), child, records=())
    assert [record for record in found["example.org."] if "sub." in record] == [
        'deep.ns.sub.example.org. 300 TXT "hidden"',
        "ns.sub.example.org. 300 A 192.0.2.53",
        "sub.example.org. 300 NS ns.sub.example.org.",
    ]
    assert found["sub.example.org."] == [
        "edge.sub.example.org. 30 A 192.0.2.10",
        "ns.sub.example.org. 300 A 192.0.2.53",
        "sub.example.org. 300 NS ns.sub.example.org.",
    ]


def test_a_pool_at_the_apex_hides_nothing_of_it() -> None:
    """Its addresses stand beside the zone's NS; the SOA is told apart, with the serial that it is asked for."""
    zone = zone_of(ZONE)
    (records,) = content([node("a")], [pool("example.org.")], zone, records=()).values()
    assert [record for record in records if record.startswith("example.org.")] == [
        "example.org. 30 A 192.0.2.10",
        "example.org. 300 NS ns1.example.org.",
    ]
    assert text_of(soa_at(zone, 99)) == (
        "example.org. 300 SOA ns1.example.org. hostmaster.example.org. 99 7200 900 1209600 60"
    )
