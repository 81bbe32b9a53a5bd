"""The answer to a question before it becomes bytes: its sections, its RCODE, and how it was found.

Seams: online signing reads `kind`, `zone`, `closest_encloser` and `wildcard`; answers that depend on the client's
subnet will add a `scope` here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from dnsd.core.constants import NOERROR, SERVFAIL, SOA
from dnsd.core.records import RRset, Zone, ZoneNode
from dnsd.core.serials import with_serial

# An owner, folded, and its RRset.
OwnedRRset = tuple[bytes, RRset]


class Kind(enum.Enum):
    """How a lookup ended, at the last name of a chain."""

    DATA = "data"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    REFERRAL = "referral"
    ALIAS = "alias"  # a chain that leaves our zones, loops, or is too long to follow
    REFUSED = "refused"  # no zone of ours, or nothing that we do
    FAILED = "failed"  # a pool that answers SERVFAIL while it is empty
    OVERFLOW = "overflow"  # a DNAME made a name too long
    ERROR = "error"  # the query itself is at fault


@dataclass(slots=True)
class Answer:
    """What one response says.

    Args:
        rcode: whole, also where it needs EDNS.
        authoritative: the AA bit: of the first owner in the answer section (RFC 1035 §4.1.1).
        glue: additional records that a referral must not lack (RFC 9471).
        additional: those that it may.
        zone: where the lookup ended.
        closest_encloser: the longest existing ancestor of the last name, or that name.
        wildcard: the source of synthesis, where the last name had none of its own (RFC 4592 §3.3.1).
        pool: the pool that its records, or the want of them, are of.
        pool_parts: how often something of a pool was looked at on the way: its answer may soon be another one.
        extended_errors: options of the OPT (RFC 8914), for which no record makes room.
        signature: a whole TSIG record, put last.
        asked: begins with the question's name as it was sent; empty: not known.
    """

    kind: Kind = Kind.DATA
    rcode: int = NOERROR
    authoritative: bool = False
    answer: list[OwnedRRset] = field(default_factory=list)
    authority: list[OwnedRRset] = field(default_factory=list)
    glue: list[OwnedRRset] = field(default_factory=list)
    additional: list[OwnedRRset] = field(default_factory=list)
    zone: Zone | None = None
    closest_encloser: bytes | None = None
    wildcard: bytes | None = None
    pool: ZoneNode | None = None
    pool_parts: int = 0
    extended_errors: bytes = b""
    signature: bytes = b""
    asked: bytes = b""

    @property
    def is_brief(self) -> bool:
        """Say whether there is nothing in it that was not asked for."""
        return not self.additional and not self.extended_errors

    def be_brief(self) -> bool:
        """Leave out what is not asked for: it may go to somebody who has asked nothing.

        Returns:
            Whether there was nothing to be left out.
        """
        was_brief = self.is_brief
        self.additional.clear()
        self.extended_errors = b""
        return was_brief

    def at_serials(self, serials: Mapping[bytes, int]) -> None:
        """Give its SOAs the serials that secondaries have the zones at.

        Args:
            serials: by folded apex; a zone without one keeps the zone file's.
        """
        for section in (self.answer, self.authority):
            for place, (owner, rrset) in enumerate(section):
                if rrset.rdtype == SOA and (serial := serials.get(owner)) is not None:
                    section[place] = owner, RRset(SOA, rrset.ttl, (with_serial(rrset.rdatas[0], serial),))

    def fail(self) -> None:
        """Become a SERVFAIL: nothing that was found on the way is told."""
        self.kind = Kind.FAILED
        self.rcode = SERVFAIL
        self.authoritative = False
        self.answer.clear()


def error(rcode: int, *, kind: Kind = Kind.ERROR, extended_errors: bytes = b"") -> Answer:
    """Return an answer without records."""
    return Answer(kind=kind, rcode=rcode, extended_errors=extended_errors)
