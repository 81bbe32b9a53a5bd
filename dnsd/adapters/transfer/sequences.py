"""Which records a transfer consists of, and in which order. Pure, and lazy: nothing is made before it is sent.

A `None` among the records says: nothing to send yet, and others may have a turn.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from dnsd.adapters.transfer.limits import RECORDS_IN_A_ROW
from dnsd.core.zoneversion import ZoneDiff, ZoneRecord, ZoneVersion

Records = Iterator[ZoneRecord | None]


def whole_zone(version: ZoneVersion) -> Records:
    """Yield a zone (RFC 5936 §2.2): its SOA, every other record, and the SOA again."""
    yield version.soa
    yield from version.records()
    yield version.soa


def differences(version: ZoneVersion, diffs: Sequence[ZoneDiff]) -> Records:
    """Yield what leads to a version (RFC 1995 §4): each difference between two SOAs of the version itself.

    Args:
        diffs: oldest first, not empty.
    """
    yield version.soa
    for diff in diffs:
        yield diff.before
        yield from diff.removed
        yield diff.after
        yield from diff.added
    yield version.soa


def shorter_of_both(version: ZoneVersion, diffs: Sequence[ZoneDiff], on_whole: Callable[[], None]) -> Records:
    """Yield the differences, or the zone where it has fewer records than they (RFC 1995 §4 allows either).

    Args:
        diffs: oldest first, not empty.
        on_whole: told where it is the zone.
    """
    size = sum(2 + len(diff.removed) + len(diff.added) for diff in diffs)
    counted = 0
    for _ in itertools.islice(version.records(), size):
        counted += 1
        if counted % RECORDS_IN_A_ROW == 0:
            yield None
    if counted < size:
        on_whole()
        yield from whole_zone(version)
    else:
        yield from differences(version, diffs)
