"""Who gets which serial of a zone: one rule for every store, so that servers that share a store never go back.

It owns the decision on one claim. It knows nothing of where the last one is kept; `redis/claim_serials.lua` says the
same in Redis, and the common suite of tests holds them to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dnsd.core.serials import beyond, given_by_store, is_newer


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialClaim:
    """A server's wish for a serial.

    Args:
        zone: fully qualified name as text, lower case.
        digest: of the zone's content, as text: whoever claims for the same content gets the same serial.
        at_least: the serial is this one or newer (RFC 1982).
        first: what it is where the store knows none of the zone, or has lost some; not older than `at_least`.
        known: one that was given before: a store that has an older one has lost some. None: it is not known.
        anew: it is newer than the one that the store has, even for the same content.
    """

    zone: str
    digest: str
    at_least: int
    first: int
    known: int | None = None
    anew: bool = False


class KeptSerial(NamedTuple):
    """The last serial of a zone that a store has given, and for which content."""

    serial: int
    digest: str


def decided(claim: SerialClaim, kept: KeptSerial | None) -> KeptSerial:
    """Return what a store gives and keeps: always an even serial, since servers make odd ones while it is away.

    Args:
        kept: what it has of the zone; None: nothing.
    """
    if kept is None:
        return KeptSerial(given_by_store(claim.first), claim.digest)
    lost = claim.known is not None and is_newer(claim.known, kept.serial)
    wanted = claim.first if lost else claim.at_least
    if not claim.anew and kept.digest == claim.digest and not is_newer(wanted, kept.serial):
        return kept
    return KeptSerial(given_by_store(beyond(kept.serial, wanted)), claim.digest)
