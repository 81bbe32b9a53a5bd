"""A zone as it was last handed on, held against what it is now.

A mirror is immutable: what follows it shares all that did not change. It knows records, and neither serials, times nor
who has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from dnsd.core.laid import Laid
from dnsd.core.records import Zone, ZoneNode
from dnsd.core.zonecontent import records_at, records_of, soa_at
from dnsd.core.zonedigest import digest_of, followed
from dnsd.core.zoneimage import ZoneImage
from dnsd.core.zoneversion import ZoneRecord


@dataclass(frozen=True, slots=True)
class Mirror:
    """A zone's content.

    Args:
        zone: of the zone file.
        laid: what the fleet lays over it.
        digest: of its records; of the SOA all but the serial counts.
    """

    zone: Zone
    laid: Laid
    digest: int

    @classmethod
    def of(cls, zone: Zone, laid: Laid) -> Mirror:
        """Return the mirror of a zone; goes through all of its records."""
        return cls(zone, laid, digest_of(chain([_unnumbered(zone)], records_of(zone, laid))))

    def stepped(self, names: Mapping[bytes, ZoneNode | None]) -> Step | None:
        """Return what comes of other nodes of the fleet; None: the records are the same.

        Args:
            names: what the overlay has now at names of the zone; None: nothing.
        """
        removed, added, changed = self._differences(self.zone, names)
        if not changed:
            return None
        digest = followed(self.digest, removed=removed, added=added)
        return Step(Mirror(self.zone, self.laid.followed(changed), digest), removed, added)

    def become(self, zone: Zone, laid: Laid) -> Step:
        """Return what comes of another zone file, or of names that are in other zones now, if anything.

        Where a large zone has another file, all of its records are read, and which of them differ is not told.
        """
        if zone is not self.zone and (isinstance(zone.nodes, ZoneImage) or isinstance(self.zone.nodes, ZoneImage)):
            mirror = Mirror.of(zone, laid)
            return Step(mirror, (), (), whole=mirror.digest != self.digest)
        names: Iterable[bytes] = self.laid.keys() | laid.keys()
        if zone is not self.zone:
            names = names | self.zone.nodes.keys() | zone.nodes.keys()
        removed, added, _ = self._differences(zone, {name: laid.get(name) for name in names})
        digest = followed(self.digest, removed=[_unnumbered(self.zone), *removed], added=[_unnumbered(zone), *added])
        return Step(Mirror(zone, laid, digest), removed, added)

    def _differences(
        self, zone: Zone, names: Mapping[bytes, ZoneNode | None]
    ) -> tuple[tuple[ZoneRecord, ...], tuple[ZoneRecord, ...], dict[bytes, ZoneNode | None]]:
        """Return what is removed and added at names, and the names where that is anything."""
        removed: list[ZoneRecord] = []
        added: list[ZoneRecord] = []
        changed: dict[bytes, ZoneNode | None] = {}
        for name, node in names.items():
            was = self.laid.get(name)
            before = was if was is not None else self.zone.nodes.get(name)
            after = node if node is not None else zone.nodes.get(name)
            if before is after:
                continue
            old, new = dict.fromkeys(records_at(name, before)), dict.fromkeys(records_at(name, after))
            if old != new:
                removed += [record for record in old if record not in new]
                added += [record for record in new if record not in old]
                changed[name] = node
        return tuple(removed), tuple(added), changed


@dataclass(frozen=True, slots=True)
class Step:
    """From one content of a zone to the next.

    Args:
        mirror: of the next.
        removed, added: records without the SOA.
        whole: they are not told, since there may be very many.
    """

    mirror: Mirror
    removed: tuple[ZoneRecord, ...]
    added: tuple[ZoneRecord, ...]
    whole: bool = False


def _unnumbered(zone: Zone) -> ZoneRecord:
    """Return what counts of an SOA."""
    return soa_at(zone, 0)
