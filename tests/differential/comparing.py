"""What two servers' answers have in common: an answer less everything that DNS leaves to the server.

Names are folded, also those in RDATA (RFC 4343); records of a section have no order, but for the aliases of a chain,
which stand in the order in which they are followed.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

# The bits of the header that follow from the query's (the opcode and the one that has no name among them), and those
# that an answer says something with.
ECHOED = dns.flags.QR | 0x7800 | dns.flags.RD | 0x0040 | dns.flags.AD | dns.flags.CD
SAID = dns.flags.AA | dns.flags.TC | dns.flags.RA

ALIASES = (dns.rdatatype.CNAME, dns.rdatatype.DNAME)


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """A record with everything folded that has no case of its own.

    Args:
        rdata: as RFC 4034 §6.2 has it.
    """

    owner: bytes
    rdtype: int
    rdclass: int
    ttl: int
    rdata: bytes

    def __str__(self) -> str:
        owner = dns.name.from_wire(self.owner, 0)[0]
        rdclass, rdtype = dns.rdataclass.RdataClass(self.rdclass), dns.rdatatype.RdataType(self.rdtype)
        try:
            text = dns.rdata.from_wire(rdclass, rdtype, self.rdata, 0, len(self.rdata)).to_text()
        except dns.exception.DNSException:
            text = f"\\# {len(self.rdata)} {self.rdata.hex()}"
        text = text if len(text) <= 80 else f"{text[:60]}… ({len(self.rdata)} bytes)"
        return f"{owner} {self.ttl} {dns.rdatatype.to_text(rdtype)} {text}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is compared of an answer.

    Args:
        flags: AA, TC and RA.
        echoed: the header's other bits, but for the RCODE.
        chain: CNAME and DNAME records of the answer section, in their order.
        answer: all of that section; every section is sorted, and a record that is there twice is so here.
        edns: version and DO bit of the OPT record; None: there was none.
    """

    rcode: int
    flags: int
    echoed: int
    question: tuple[tuple[bytes, int, int], ...]
    chain: tuple[Record, ...]
    answer: tuple[Record, ...]
    authority: tuple[Record, ...]
    additional: tuple[Record, ...]
    edns: tuple[int, bool] | None

    @property
    def truncated(self) -> bool:
        """Whether TC is set."""
        return bool(self.flags & dns.flags.TC)

    def __str__(self) -> str:
        edns = "no OPT" if self.edns is None else f"OPT {self.edns[0]}{' do' if self.edns[1] else ''}"
        flags = dns.flags.to_text(self.flags | self.echoed).lower()
        lines = [f"{dns.rcode.to_text(dns.rcode.Rcode(self.rcode))} {flags}; {edns}"]
        for title, section in (("an", self.answer), ("au", self.authority), ("ad", self.additional)):
            lines += [f"  {title} {record}" for record in section[:SHOWN_RECORDS]]
            if len(section) > SHOWN_RECORDS:
                lines.append(f"  {title} and {len(section) - SHOWN_RECORDS} more")
        return "\n".join(lines)


# How many records of a section are shown where answers differ.
SHOWN_RECORDS = 8


# Half of all answers are those to a question before, asked in another manner. Unit: answers.
REMEMBERED = 2048


def seen(wire: bytes) -> Seen:
    """Read an answer.

    Raises:
        dns.exception.DNSException: it cannot be read to its end.
    """
    return _seen(wire[2:])


@functools.lru_cache(REMEMBERED)
def _seen(after_id: bytes) -> Seen:
    message = dns.message.from_wire(b"\x00\x00" + after_id, one_rr_per_rrset=True)
    return Seen(
        rcode=int(message.rcode()),
        flags=int(message.flags & SAID),
        echoed=int(message.flags & ECHOED),
        question=tuple((_folded(each.name), int(each.rdtype), int(each.rdclass)) for each in message.question),
        chain=tuple(_record(each) for each in message.answer if each.rdtype in ALIASES),
        answer=_section(message.answer),
        authority=_section(message.authority),
        additional=_section(message.additional),
        edns=None if message.edns < 0 else (message.edns, bool(message.ednsflags & dns.flags.DO)),
    )


def _section(rrsets: Sequence[dns.rrset.RRset]) -> tuple[Record, ...]:
    return tuple(sorted(map(_record, rrsets)))


def _record(rrset: dns.rrset.RRset) -> Record:
    (rdata,) = rrset
    return Record(_folded(rrset.name), int(rrset.rdtype), int(rrset.rdclass), rrset.ttl, rdata.to_digestable())


def _folded(name: dns.name.Name) -> bytes:
    return name.to_digestable()
