"""Where pools and per-node names may stand in the zones, and how their nodes are made.

It knows zones and owners. Which records a pool holds is the compiler's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dnsd.core.constants import AAAA, CNAME, DNAME, HTTPS, SRV, SVCB, A
from dnsd.core.names import ROOT, ancestors, parent, to_text
from dnsd.core.records import ADDRESS_TYPES, Answerable, Zone, ZoneNode

# The fleet's records would mix with those of the zone file of the same type. No record stands beside a CNAME (RFC 1034
# §3.6.2), and a DNAME would hide names of the fleet below it (RFC 6672 §2.4).
_ALWAYS_CLASHING = frozenset({CNAME, DNAME})
_NAMES = {A: "A", AAAA: "AAAA", SRV: "SRV", SVCB: "SVCB", HTTPS: "HTTPS", CNAME: "CNAME", DNAME: "DNAME"}


def closest_zone(zones: Mapping[bytes, Zone], name: bytes) -> Zone | None:
    """Return the zone whose apex is the name or its nearest ancestor; None: it is outside every zone.

    Args:
        zones: by folded apex.
        name: folded.
    """
    while True:
        zone = zones.get(name)
        if zone is not None:
            return zone
        if name == ROOT:
            return None
        name = name[name[0] + 1 :]


def why_not_overlay(
    zones: Mapping[bytes, Zone], owner: bytes, *, types: frozenset[int] = ADDRESS_TYPES
) -> tuple[str, str] | None:
    """Say why a name cannot carry records of the fleet.

    Args:
        zones: by folded apex.
        owner: folded.
        types: those of the records, among them A, AAAA, SRV, SVCB and HTTPS.

    Returns:
        A problem's id (`outside-zones`, `occluded`, `clash`) and one sentence; None: it can.
    """
    zone = closest_zone(zones, owner)
    if zone is None:
        return "outside-zones", f"{to_text(owner)} is in none of the zones"
    encloser = owner
    while encloser not in zone.nodes:
        encloser = parent(encloser)
    node = zone.nodes[encloser]
    if node.occluded_by is not None:
        return "occluded", _occluded(owner, zone, node.occluded_by)
    if node.cut or (DNAME in node.rrsets and encloser != owner):
        return "occluded", _occluded(owner, zone, encloser)
    if encloser == owner:
        unwelcome = (types | _ALWAYS_CLASHING) & node.rrsets.keys()
        clashing = [name for rdtype, name in _NAMES.items() if rdtype in unwelcome]
        if clashing:
            kinds = " and ".join(clashing)
            return "clash", f"{to_text(owner)} has {kinds} records in the zone {to_text(zone.apex)} already"
    return None


def _occluded(owner: bytes, zone: Zone, occluder: bytes) -> str:
    reason = "is delegated to other servers" if zone.nodes[occluder].cut else "has a DNAME"
    return f"{to_text(owner)} cannot be answered from here, because {to_text(occluder)} {reason}"


def merged_node(
    zones: Mapping[bytes, Zone], owner: bytes, rrsets: Mapping[int, Answerable], *, fails: bool = False
) -> ZoneNode:
    """Return the overlay's node for a name: the fleet's RRsets over what the zone file has there.

    Args:
        zones: by folded apex.
        owner: folded; `why_not_overlay` found nothing against it.
        rrsets: by type number.
        fails: questions of the fleet's types get SERVFAIL.
    """
    zone = closest_zone(zones, owner)
    node = zone.nodes.get(owner) if zone is not None else None
    merged = {**node.rrsets, **rrsets} if node is not None else dict(rrsets)
    return ZoneNode(rrsets=merged, fails=fails)


def overlay_ancestors(zones: Mapping[bytes, Zone], owner: bytes) -> Iterator[bytes]:
    """Yield the names strictly between an owner and its zone's apex that the zone lacks, the lowest first.

    The overlay holds an empty non-terminal for each (RFC 4592 §2.2.2).
    """
    zone = closest_zone(zones, owner)
    if zone is None or owner == zone.apex:
        return
    for name in ancestors(owner):
        if name == zone.apex:
            return
        if name not in zone.nodes:
            yield name
