"""One zone as secondaries have it: its current version, what led to it, and which generations are in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dnsd.control.serialclaims import Given
from dnsd.core.zonecontent import records_of, soa_at
from dnsd.core.zonehistory import ZoneHistory
from dnsd.core.zonemirror import Mirror, Step
from dnsd.core.zoneversion import ZoneDiff, ZoneVersion

# Versions of which is remembered what they were the first with; a generation from before them has the oldest one's
# serial. Unit: versions.
VERSIONS_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Published:
    """A state of what is published.

    Args:
        generation: the publisher's.
        revision: the store's.
        first: the first generation since the version before that has changed any zone.
    """

    generation: int
    revision: int
    first: int


class KeptZone:
    """The versions of one zone.

    Attributes:
        mirror: the content of the current one.
        version: the current one.
        confirmed: the store has given its serial.
    """

    def __init__(self, mirror: Mirror, given: Given, published: Published) -> None:
        self.mirror = mirror
        self.version = _version(mirror, given.serial, published)
        self.confirmed = given.confirmed
        self._history = ZoneHistory()
        self._first: deque[tuple[int, int]] = deque([(0, given.serial)], maxlen=VERSIONS_REMEMBERED)

    def advance(self, step: Step, given: Given, published: Published, *, most_records: int) -> ZoneVersion:
        """Make the next version, and return it.

        Args:
            most_records: how many the differences that are kept may have.
        """
        before, self.mirror = self.version, step.mirror
        self.version = _version(step.mirror, given.serial, published)
        if step.whole or given.anew:
            self._history.clear()
        else:
            diff = ZoneDiff(before=before.soa, after=self.version.soa, removed=step.removed, added=step.added)
            self._history.add(diff, unique=self.confirmed, most_records=most_records)
        if given.anew:  # what was said of the serials before was said of serials that others may have too
            self._first.clear()
        self.confirmed = given.confirmed
        self._first.append((published.first, given.serial))
        return self.version

    def since(self, serial: int) -> Sequence[ZoneDiff] | None:
        """See `ZoneVersions.since`."""
        return () if serial == self.version.serial else self._history.since(serial)

    def serial_with(self, generation: int) -> int | None:
        """Return the serial of the first version with a generation; None: no serial says so for certain."""
        if not self.confirmed:
            return None
        return next((serial for first, serial in reversed(self._first) if first <= generation), self._first[0][1])


def _version(mirror: Mirror, serial: int, published: Published) -> ZoneVersion:
    return ZoneVersion(
        apex=mirror.zone.apex,
        serial=serial,
        revision=published.revision,
        generation=published.generation,
        soa=soa_at(mirror.zone, serial),
        records=partial(records_of, mirror.zone, mirror.laid),
    )
