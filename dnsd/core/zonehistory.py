"""What led from one version of a zone to the next, for as many of the last ones as there is room for."""

from __future__ import annotations

from collections import deque
from itertools import islice

from dnsd.core.serials import serial_of
from dnsd.core.zoneversion import ZoneDiff

# What a difference takes beside its records: the SOA of either version. Unit: records.
_SOAS = 2


class ZoneHistory:
    """The last differences of a zone, one after the other without a gap."""

    def __init__(self) -> None:
        self._diffs: deque[ZoneDiff] = deque()
        self._records = 0
        self._forgotten = 0  # differences that stood before the first one
        # Serials that the differences begin at, by place; not those that another server may have used too.
        self._places: dict[int, int] = {}

    def add(self, diff: ZoneDiff, *, unique: bool, most_records: int) -> None:
        """Take the difference that leads to the current version.

        Args:
            unique: no other content has, or will have, the serial that it begins at.
            most_records: how many may be kept, the SOAs included; a larger difference leaves nothing.
        """
        if unique:
            self._places[serial_of(diff.before.rdata)] = self._forgotten + len(self._diffs)
        self._diffs.append(diff)
        self._records += _size(diff)
        while self._records > most_records:
            oldest = self._diffs.popleft()
            self._records -= _size(oldest)
            self._places.pop(serial_of(oldest.before.rdata), None)
            self._forgotten += 1

    def clear(self) -> None:
        """Forget all: what leads to the current version is not told."""
        self._forgotten += len(self._diffs)
        self._diffs.clear()
        self._places.clear()
        self._records = 0

    def since(self, serial: int) -> tuple[ZoneDiff, ...] | None:
        """Return what leads from a serial to the current version; None: it is not known."""
        place = self._places.get(serial)
        if place is None:
            return None
        return tuple(islice(self._diffs, place - self._forgotten, None))


def _size(diff: ZoneDiff) -> int:
    return len(diff.removed) + len(diff.added) + _SOAS
