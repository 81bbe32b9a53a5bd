"""A zone as secondaries have it: its records at one serial, and what changed from one serial to the next.

It owns the words that those who make versions and those who hand them out share. It knows neither the wire format of
transfers (RFC 5936, RFC 1995) nor who may have one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class ZoneRecord(NamedTuple):
    """One resource record of class IN.

    Args:
        owner: uncompressed name in wire form.
        rdtype: type number.
        ttl: seconds.
        rdata: in wire form, uncompressed.
    """

    owner: bytes
    rdtype: int
    ttl: int
    rdata: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneVersion:
    """A zone at one serial; stays what it is while others are made.

    Args:
        apex: folded name.
        serial: of its SOA.
        revision: the store's, that it reflects.
        generation: the publisher's, that it reflects.
        soa: with this serial.
        records: gives every other record, without what is hidden from no lookup; each call begins anew.
    """

    apex: bytes
    serial: int
    revision: int
    generation: int
    soa: ZoneRecord
    records: Callable[[], Iterator[ZoneRecord]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneDiff:
    """What leads from one version to the next (RFC 1995 §4: a difference sequence).

    Args:
        before, after: the SOA of each.
        removed, added: the other records, in no order; an RRset whose TTL differs is in both.
    """

    before: ZoneRecord
    after: ZoneRecord
    removed: tuple[ZoneRecord, ...]
    added: tuple[ZoneRecord, ...]


class ZoneVersions(Protocol):
    """The versions of every zone, of which the last are kept as differences.

    `plane.versions` keeps it where transfers are configured; who wants to hear of new versions appends to its
    `on_version`. Right after a version has become the current one, the workers show its serial.
    """

    def current(self, apex: bytes) -> ZoneVersion | None:
        """Return a zone as it is to be transferred now; None: there is no such zone.

        Args:
            apex: folded name.
        """

    def since(self, apex: bytes, serial: int) -> Sequence[ZoneDiff] | None:
        """Return what leads from a serial to the current version, oldest first; empty: it is the current one.

        Returns:
            None: that serial is not, or no longer, known here; so are those that another server of the fleet has given,
            and those that were made while the store was away, which may have had other content there.
        """

    def serial_with(self, apex: bytes, generation: int) -> int | None:
        """Return the serial of the first version with a generation of the publisher in it, or of one after it.

        None: it is not made yet, or not sure: while the store is away, another server may use the same serials.
        """
