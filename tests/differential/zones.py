"""The zones that all servers are asked about, and what a file says of a name, read by none of the servers."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import dns.name
import dns.rdata
import dns.rdatatype
import dns.zone

FOLDER = Path(__file__).parent / "zones"

# Apex, with the dot at its end → master file.
FILES = {file.name.removesuffix("zone"): file for file in sorted(FOLDER.glob("*.zone"))}

# What a server does not load: BIND no NS at a wildcard; NSD no zone below a DNAME, were it in another zone.
NOT_LOADED = {"bind": {"wild-ns.test."}, "nsd": {"below.dn-zone.alias.test."}}


@dataclass(frozen=True, slots=True)
class ZoneFacts:
    """What a file says.

    Args:
        records: by owner and type; nothing at a name that is only there for those below it.
    """

    apex: dns.name.Name
    records: dict[dns.name.Name, dict[int, list[dns.rdata.Rdata]]]


@functools.cache
def facts(apex: str) -> ZoneFacts:
    """Read a zone."""
    origin = dns.name.from_text(apex)
    zone = dns.zone.from_file(str(FILES[apex]), origin=origin, relativize=False, check_origin=False)
    records: dict[dns.name.Name, dict[int, list[dns.rdata.Rdata]]] = {}
    for name, node in zone.nodes.items():
        records.setdefault(name, {}).update({int(rdataset.rdtype): list(rdataset) for rdataset in node})
        while name != origin:
            name = name.parent()  # noqa: PLW2901 - on the way up
            records.setdefault(name, {})
    return ZoneFacts(origin, records)


@functools.cache
def zone_of(name: dns.name.Name) -> ZoneFacts | None:
    """Return the zone with the longest apex that is at or above a name; None: it is in no zone."""
    apexes = [apex for apex in FILES if name.is_subdomain(dns.name.from_text(apex))]
    return facts(max(apexes, key=lambda apex: len(dns.name.from_text(apex)))) if apexes else None
