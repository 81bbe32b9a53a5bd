"""Random zones and fleets: the server's answers are those of an independent, obvious implementation."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsd.core.answer import OwnedRRset
from dnsd.core.lookup import look_up
from dnsd.core.names import labels, parent
from dnsd.core.owners import merged_node, overlay_ancestors, why_not_overlay
from dnsd.core.records import RRset, Snapshot, Zone, ZoneNode
from dnsd.core.zonebuild import build_zone
from tests.support.reference import Name, Outcome, Record, Records, resolve

APEX: Name = ("example",)
CHILD: Name = ("a", "example")
TYPE_NUMBERS = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "TXT": 16, "DNAME": 39, "DS": 43}
TYPE_NAMES = {number: text for text, number in TYPE_NUMBERS.items()}
RCODES = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED", 6: "YXDOMAIN"}

LABEL = st.sampled_from(["a", "b", "*"])
HOST = st.lists(LABEL, max_size=3).map(lambda found: (*found, *APEX)) | st.just(("elsewhere",))
OWNER = st.lists(LABEL, max_size=3).map(tuple)
CHOICES = st.lists(
    st.tuples(
        OWNER,
        st.sampled_from(["A", "A", "NS", "CNAME", "TXT", "DNAME", "DS"]),
        HOST,
        st.integers(1, 3),
    ),
    max_size=9,
)


def _records(choices: list[tuple[Name, str, Name, int]], apex: Name) -> Records:
    """Turn choices into a zone that a reader of zone files would take; later ones that do not fit are left out."""
    records: set[Record] = {(apex, "SOA", ".".join(apex))}
    for relative, rdtype, host, number in choices:
        owner = (*relative, *apex)
        present = {known for name, known, _ in records if name == owner}
        if "CNAME" in present or (rdtype == "CNAME" and present) or (rdtype == "DNAME" and present & {"DNAME", "NS"}):
            continue
        if rdtype == "NS" and "DNAME" in present:
            continue
        records.add((owner, rdtype, host if rdtype in ("NS", "CNAME", "DNAME") else f"{number}"))
    return frozenset(records)


def _wire(name: Name) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name) + b"\x00"


def _rdata(rdtype: str, value: object) -> bytes:
    if isinstance(value, tuple):
        return _wire(value)
    text = str(value).encode()
    return _wire(("ns",)) * 2 + bytes(20) if rdtype == "SOA" else text


def _zone(records: Records, apex: Name) -> Zone:
    gathered: dict[tuple[bytes, int], list[bytes]] = {}
    for owner, rdtype, value in sorted(records, key=repr):
        gathered.setdefault((_wire(owner), TYPE_NUMBERS[rdtype]), []).append(_rdata(rdtype, value))
    rrsets = {key: RRset(key[1], 300, tuple(rdatas)) for key, rdatas in gathered.items()}
    return build_zone(_wire(apex), rrsets)


def _name(wire: bytes) -> Name:
    return tuple(label.decode() for label in labels(wire))


def _seen(section: list[OwnedRRset]) -> list[Record]:
    records: list[Record] = []
    for owner, rrset in section:
        rdtype = TYPE_NAMES[rrset.rdtype]
        for rdata in rrset.rdatas:
            name_like = rdtype in ("NS", "CNAME", "DNAME")
            value = _name(rdata) if name_like else ".".join(_name(owner)) if rdtype == "SOA" else rdata.decode()
            records.append((_name(owner), rdtype, value))
    return records


def _look_up(snapshot: Snapshot, qname: Name, qtype: str) -> Outcome:
    answer = look_up(snapshot, _wire(qname), TYPE_NUMBERS[qtype])
    return Outcome(
        RCODES[answer.rcode],
        answer.authoritative,
        _seen(answer.answer),
        set(_seen(answer.authority)),
        set(_seen(answer.glue + answer.additional)),
    )


def _snapshot(zones: dict[Name, Records], fleet: list[Name]) -> tuple[Snapshot, dict[Name, Records]]:
    """Lay a fleet's names over zones; return the zones too as they would be with its records in them."""
    built = {_wire(apex): _zone(records, apex) for apex, records in zones.items()}
    snapshot = Snapshot(1, 1, built, {})
    flat = dict(zones)
    for name in fleet:
        owner = _wire(name)
        if why_not_overlay(built, owner) is not None:
            continue
        for ancestor in overlay_ancestors(built, owner):
            snapshot.overlay.setdefault(ancestor, ZoneNode())
        snapshot.overlay[owner] = merged_node(built, owner, {1: RRset(1, 30, (b"pool",))})
        home = max((apex for apex in zones if name[len(name) - len(apex) :] == apex), key=len)
        flat[home] = flat[home] | {(name, "A", "pool")}
    return snapshot, flat


QUESTIONS = st.lists(
    st.tuples(HOST, st.sampled_from(["A", "NS", "CNAME", "TXT", "DNAME", "DS", "SOA"])), min_size=5, max_size=12
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    above=CHOICES,
    below=st.none() | CHOICES,
    fleet=st.lists(OWNER.map(lambda found: (*found, *APEX)), max_size=3),
    questions=QUESTIONS,
)
def test_lookup_agrees_with_the_reference(
    above: list[tuple[Name, str, Name, int]],
    below: list[tuple[Name, str, Name, int]] | None,
    fleet: list[Name],
    questions: list[tuple[Name, str]],
) -> None:
    """RCODE, AA and every section agree, with the fleet's names taken as records of the zone."""
    zones = {APEX: _records(above, APEX)}
    if below is not None:
        zones[CHILD] = _records(below, CHILD)
    snapshot, flat = _snapshot(zones, fleet)
    # The one question whose home is not the closest zone, too rare to be left to chance.
    for qname, qtype in [*questions, (CHILD, "DS")]:
        assert _look_up(snapshot, qname, qtype) == resolve(flat, qname, qtype), (qname, qtype)


@settings(max_examples=100, deadline=None)
@given(choices=CHOICES)
def test_every_ancestor_of_a_record_is_in_the_tree(choices: list[tuple[Name, str, Name, int]]) -> None:
    """A zone's tree has no gap: lookups walk up from any name to a node, at the latest the apex."""
    zone = _zone(_records(choices, APEX), APEX)
    for name in zone.nodes:
        assert name == zone.apex or parent(name) in zone.nodes
