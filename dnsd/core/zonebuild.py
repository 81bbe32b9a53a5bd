"""From the RRsets of a zone to its tree: empty non-terminals, cuts, and what lies hidden below them.

The RRsets come validated from the reader of zone files; what is checked again here is what lookups rest on.
"""

from __future__ import annotations

from collections.abc import Mapping

from dnsd.core.constants import DNAME, NS, SOA
from dnsd.core.names import ROOT, is_at_or_below, parent, to_text
from dnsd.core.records import Answerable, RRset, Zone, ZoneNode

_MINIMUM_SIZE = 4  # the last field of an SOA's RDATA (RFC 1035 §3.3.13)


def build_zone(apex: bytes, rrsets: Mapping[tuple[bytes, int], RRset]) -> Zone:
    """Make a zone of its RRsets.

    Args:
        apex: folded name.
        rrsets: by folded owner and type; one SOA, at the apex.

    Raises:
        ValueError: no SOA of one record at the apex, or an owner outside the zone.
    """
    soa = rrsets.get((apex, SOA))
    if soa is None or len(soa.rdatas) != 1:
        raise ValueError(f"{to_text(apex)} needs one SOA record at its apex")
    by_name: dict[bytes, dict[int, Answerable]] = {apex: {}}
    for (owner, rdtype), rrset in rrsets.items():
        if not is_at_or_below(owner, apex):
            raise ValueError(f"{to_text(owner)} is outside {to_text(apex)}")
        _add_with_ancestors(by_name, owner, apex=apex)[rdtype] = rrset
    nodes = {
        name: ZoneNode(
            rrsets=types, cut=name != apex and NS in types, occluded_by=_topmost_occluder(by_name, name, apex=apex)
        )
        for name, types in by_name.items()
    }
    return Zone(apex, nodes, _negative_ttl(soa))


def _add_with_ancestors(
    by_name: dict[bytes, dict[int, Answerable]], owner: bytes, *, apex: bytes
) -> dict[int, Answerable]:
    """Make sure that a name and all between it and the apex exist (RFC 4592 §2.2.2); return the name's types."""
    name = owner
    while name not in by_name:
        by_name[name] = {}
        if name == apex:
            break
        name = parent(name)
    return by_name[owner]


def _topmost_occluder(by_name: Mapping[bytes, Mapping[int, Answerable]], name: bytes, *, apex: bytes) -> bytes | None:
    """Return the highest name above this one, within the zone, that is a cut or owns a DNAME."""
    occluder = None
    while name not in (apex, ROOT):
        name = parent(name)
        types = by_name[name]
        if DNAME in types or (NS in types and name != apex):
            occluder = name
    return occluder


def _negative_ttl(soa: RRset) -> int:
    """RFC 2308 §5: "the minimum of the MINIMUM field of the SOA record and the TTL of the SOA itself"."""
    return min(soa.ttl, int.from_bytes(soa.rdatas[0][-_MINIMUM_SIZE:], "big"))
