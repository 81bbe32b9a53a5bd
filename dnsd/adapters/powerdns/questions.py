"""What PowerDNS is told of a name, of a zone and of all zones: a reading of the fleet as it is published.

PowerDNS follows aliases, refers and looks for wildcards by itself: it asks for one name after the other, and gets what
stands at this very name. It is pure; instants and chance are arguments. It knows no JSON and no socket.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from dnsd.adapters.powerdns.content import EMPTY_NON_TERMINAL, NOT_TOLD, as_text, failing
from dnsd.core.constants import ANY, SOA
from dnsd.core.countdown import served
from dnsd.core.fleet import Fleet
from dnsd.core.names import is_at_or_below, to_text
from dnsd.core.owners import closest_zone
from dnsd.core.records import ADDRESS_TYPES, Zone, ZoneNode
from dnsd.core.serials import serial_of, with_serial

# What PowerDNS sends where it does not mean a certain zone.
ANY_ZONE = -1

_MAX_ID = 0x7FFF_FFFF  # PowerDNS keeps ids in an `int`

# Of a record that is a failure. Unit: seconds.
_NO_TTL = 0


class Record(NamedTuple):
    """A record as PowerDNS gets it.

    Args:
        owner: text.
        rdtype: text; empty: none stands there, and the name exists.
        content: text.
        ttl: seconds.
        zone_id: of the zone that it is in.
    """

    owner: str
    rdtype: str
    content: str
    ttl: int
    zone_id: int


class ZoneIds:
    """The numbers that PowerDNS knows zones by: made of their names, so that they outlive a restart."""

    def __init__(self, zones: Mapping[bytes, Zone]) -> None:
        self.zones = zones
        self.by_id: dict[int, Zone] = {}
        self._of: dict[bytes, int] = {}
        for apex in sorted(zones):
            number = crc32(apex) & _MAX_ID
            while number in self.by_id or number == 0:
                number = (number + 1) & _MAX_ID
            self.by_id[number] = zones[apex]
            self._of[apex] = number

    def of(self, zone: Zone) -> int:
        """Return a zone's number."""
        return self._of[zone.apex]


@dataclass(frozen=True, slots=True)
class View:
    """The fleet at the instant of a call.

    Args:
        ids: of the fleet's zones.
        serials: by folded apex, of zones that have another one than their files say.
        now: instant.
        coin: gives 0 or 1 by chance.
    """

    fleet: Fleet
    ids: ZoneIds
    serials: Mapping[bytes, int]
    now: float
    coin: Callable[[], int]

    @property
    def zones(self) -> Mapping[bytes, Zone]:
        """By folded apex."""
        return self.fleet.spec.zones

    def serial_of(self, zone: Zone) -> int:
        """Return the serial that answers show of a zone."""
        serial = self.serials.get(zone.apex)
        return serial_of(zone.soa.rdatas[0]) if serial is None else serial

    def texts(self, zone: Zone, rdtype: int, rdatas: Iterable[bytes]) -> Iterator[tuple[str, str]]:
        """Yield type and content of each record, of an SOA with the serial that answers show."""
        for rdata in rdatas:
            yield as_text(rdtype, with_serial(rdata, self.serial_of(zone)) if rdtype == SOA else rdata)


def look_up(view: View, name: bytes, qtype: int, zone_id: int, *, owner: str) -> Iterator[Record]:
    """Yield what stands at a name: as an answer of dnsd would have it, but for what PowerDNS finds by itself.

    Args:
        name: folded.
        qtype: a type, or ANY for all.
        zone_id: `ANY_ZONE`: whichever zone is the closest.
        owner: the name as it was asked for.
    """
    closest = closest_zone(view.zones, name)
    zone = closest if zone_id == ANY_ZONE else view.ids.by_id.get(zone_id)
    if zone is None or not is_at_or_below(name, zone.apex):
        return
    number = view.ids.of(zone)
    # What the overlay has is the closest zone's; at the apex of a child, its parent has the delegation and no more.
    overlaid = view.fleet.overlay.get(name) if zone is closest else None
    node: ZoneNode | None = overlaid or zone.nodes.get(name)
    if node is None:
        return
    if node.fails:
        for rdtype in sorted(node.pooled if qtype == ANY else {qtype} & node.pooled):
            yield Record(owner, *failing(rdtype), _NO_TTL, number)
    elif not node.rrsets and qtype == ANY and node.occluded_by is None:
        yield Record(owner, *EMPTY_NON_TERMINAL, zone.negative_ttl, number)
    for rdtype in _types_to_tell(zone, node, qtype):
        rrset = node.rrsets[rdtype].pick()
        if node.trace is not None:
            # A question costs PowerDNS two lookups or one: with steps that are all the same, it could get every other
            # order of a pool and no more.
            if view.coin():
                rrset = node.rrsets[rdtype].pick()
            rrset = served(node, rrset, view.now)
        for text in view.texts(zone, rdtype, rrset.rdatas):
            yield Record(owner, *text, rrset.ttl, number)


def _types_to_tell(zone: Zone, node: ZoneNode, qtype: int) -> list[int]:
    """Return the types of a node that PowerDNS may know of, out of those that it asks for."""
    types = set(node.rrsets) if qtype == ANY else {qtype} & node.rrsets.keys()
    if node.occluded_by is not None:
        # Below a delegation, addresses may be glue; all else, and all below a DNAME, is for nobody.
        types &= ADDRESS_TYPES if zone.nodes[node.occluded_by].cut else set()
    return sorted(types - NOT_TOLD)


def owners_of(view: View, zone: Zone) -> Iterator[bytes]:
    """Yield the names of a zone, those of the fleet included, each once."""
    yield from zone.nodes
    for name in view.fleet.overlay:
        # The end is looked at first: most names of a large fleet are soon passed over.
        if name.endswith(zone.apex) and name not in zone.nodes and closest_zone(view.zones, name) is zone:
            yield name


def all_owners(view: View) -> Iterator[tuple[Zone, bytes]]:
    """Yield the names of all zones, each with its zone."""
    for zone in view.zones.values():
        for name in zone.nodes:
            yield zone, name
    for name in view.fleet.overlay:
        closest = closest_zone(view.zones, name)
        if closest is not None and name not in closest.nodes:
            yield closest, name


def records_at(view: View, zone: Zone, name: bytes) -> Iterator[Record]:
    """Yield the records of one of a zone's names, of a pool every one that an answer may hold; no turn is taken."""
    overlaid = view.fleet.overlay.get(name) if closest_zone(view.zones, name) is zone else None
    node: ZoneNode = overlaid or zone.nodes[name]
    owner, number = to_text(name), view.ids.of(zone)
    for rdtype in _types_to_tell(zone, node, ANY):
        rrset = node.rrsets[rdtype]
        for text in view.texts(zone, rdtype, rrset.rdatas):
            yield Record(owner, *text, rrset.ttl, number)


def matching(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a name or content fits a pattern of PowerDNS: `*` is any text, `?` any character."""
    first, *others = (_piece(each) for each in pattern.lower().removesuffix(".").split("*"))
    if others:
        # The leftmost place of each piece serves as well as any other: what was found is never looked for again, or
        # many stars would cost a time without bound.
        first += "".join(f"(?>.*?{each})" for each in others[:-1] if each) + f".*{others[-1]}"
    expression = re.compile(first, re.DOTALL)
    return lambda text: expression.fullmatch(text.lower().removesuffix(".")) is not None


def _piece(text: str) -> str:
    """Return the regular expression of a part of a pattern without stars."""
    return "".join("." if each == "?" else re.escape(each) for each in text)
