"""The records of a zone as a secondary gets them: the zone file's, with the fleet's names laid over them.

A pool has all the records that any of its answers may hold, with its own TTL: whose turn it is, samples and countdowns
are for those who ask. Where that is none, and nothing else stands at its name, a placeholder does: a name without any
record would not be there, and a secondary would say NXDOMAIN, or answer from a wildcard. Delegations, glue, and what
lies hidden below them or a DNAME stay as the zone file has them (RFC 5936 §3.2, §3.3, §3.5). It yields records one by
one, and makes no object of a whole zone; it knows neither serials nor what was there before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dnsd.core.constants import SOA, TXT
from dnsd.core.laid import Laid
from dnsd.core.owners import closest_zone
from dnsd.core.records import Overlay, Zone, ZoneNode
from dnsd.core.serials import with_serial
from dnsd.core.zoneimage import ZoneImage
from dnsd.core.zoneversion import ZoneRecord

_TEXT = b"no node of this pool serves"

# RDATA of the TXT record at the name of a pool that has no other: whoever asks a secondary for its types gets NODATA.
PLACEHOLDER = bytes([len(_TEXT)]) + _TEXT


def laid_over(zones: Mapping[bytes, Zone], overlay: Overlay) -> dict[bytes, Laid]:
    """Return the overlay by the zones that its names are in; a child's names are not its parent's.

    Args:
        zones: by folded apex.

    Returns:
        One table for each zone, by apex.
    """
    found: dict[bytes, dict[bytes, ZoneNode]] = {apex: {} for apex in zones}
    for name, node in overlay.items():
        zone = closest_zone(zones, name)
        if zone is not None:
            found[zone.apex][name] = node
    return {apex: Laid(nodes) for apex, nodes in found.items()}


def soa_at(zone: Zone, serial: int) -> ZoneRecord:
    """Return a zone's SOA with a serial."""
    soa = zone.soa
    return ZoneRecord(zone.apex, SOA, soa.ttl, with_serial(soa.rdatas[0], serial))


def records_of(zone: Zone, laid: Laid) -> Iterator[ZoneRecord]:
    """Yield every record of a zone but its SOA, each once, in no order.

    Args:
        laid: what the fleet lays over it.
    """
    nodes = zone.nodes
    if isinstance(nodes, ZoneImage):
        for name, rrsets in nodes.entries():
            if name not in laid:
                for rdtype, ttl, rdatas in rrsets:
                    if rdtype != SOA:
                        for rdata in rdatas:
                            yield ZoneRecord(name, rdtype, ttl, rdata)
    else:
        for name, node in nodes.items():
            if name not in laid:
                yield from records_at(name, node)
    for name, node in laid.items():
        yield from records_at(name, node)


def records_at(name: bytes, node: ZoneNode | None) -> Iterator[ZoneRecord]:
    """Yield the records at one name, without an SOA.

    Args:
        node: the zone file's, or the fleet's, in which the zone file's other types are merged; None: there is none.
    """
    if node is None:
        return
    is_empty = True
    for rdtype, rrset in node.rrsets.items():
        if node.fails and rdtype in node.pooled:
            continue
        is_empty = False
        if rdtype == SOA:
            continue
        ttl = rrset.ttl
        for rdata in dict.fromkeys(rrset.rdatas):
            yield ZoneRecord(name, rdtype, ttl, rdata)
    if is_empty and node.pool_ttl is not None:
        yield ZoneRecord(name, TXT, node.pool_ttl, PLACEHOLDER)
