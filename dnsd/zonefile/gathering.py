"""The records of a zone as its master files give them, gathered into RRsets, with the place of each.

It keeps what was written: nothing is deleted or replaced because something else stands at the same name. Whether the
whole makes a zone is for `dnsd.zonefile.checks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dnsd.core import constants, names
from dnsd.core.records import RRset
from dnsd.errors import Problem

# Types of which a name has at most one record: RFC 1035 §3.3.13 (one SOA), RFC 2181 §10.1, RFC 6672 §2.4.
_SINGLE = {constants.SOA: "SOA", constants.CNAME: "CNAME", constants.DNAME: "DNAME"}


class Gathered:
    """An RRset in the making.

    Args:
        ttl: seconds; the least of its records.
        rdata: uncompressed RDATA of its first record.
        canonical: the same with its names folded (RFC 4034 §6.2), which tells duplicates.
        file, line: where its first record stands.
    """

    __slots__ = ("_more", "canonical", "file", "line", "rdata", "ttl", "ttl_varies")

    def __init__(self, ttl: int, rdata: bytes, canonical: bytes, file: str, line: int) -> None:
        self.ttl = ttl
        self.rdata = rdata
        self.canonical = canonical
        self.file = file
        self.line = line
        self.ttl_varies = False
        # All RDATA by canonical RDATA. Most names of a large zone have one record of a type, and need no dictionary.
        self._more: dict[bytes, bytes] | None = None

    def holds(self, canonical: bytes) -> bool:
        """Say whether a record is there already."""
        return canonical == self.canonical if self._more is None else canonical in self._more

    def add(self, rdata: bytes, canonical: bytes) -> None:
        """Take another record that is not there yet."""
        if self._more is None:
            self._more = {self.canonical: self.rdata}
        self._more[canonical] = rdata

    @property
    def rdatas(self) -> tuple[bytes, ...]:
        """Uncompressed RDATA of each record, as written."""
        return (self.rdata,) if self._more is None else tuple(self._more.values())

    @property
    def canonicals(self) -> tuple[bytes, ...]:
        """Canonical RDATA of each record."""
        return (self.canonical,) if self._more is None else tuple(self._more)


@dataclass(slots=True)
class Gathering:
    """Everything read of a zone so far.

    Args:
        apex: folded name of the zone.
        records: by folded owner and type.
        problems: why the zone cannot be used.
        warnings: what is odd but serves.
        lost: owner and type of what is written and could not be read; None: it might be any.
    """

    apex: bytes
    records: dict[tuple[bytes, int], Gathered] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    lost: set[tuple[bytes | None, int | None]] = field(default_factory=set)

    def add(self, owner: bytes, rdtype: int, *, ttl: int, rdata: bytes, canonical: bytes, file: str, line: int) -> None:
        """Take a record of the zone; an exact duplicate changes nothing (RFC 2181 §5).

        Args:
            owner: folded; at or below the apex.
            ttl: seconds.
            rdata: uncompressed.
            canonical: the same with its names folded, as duplicates are told by it.
            file, line: where it stands.
        """
        key = (owner, rdtype)
        there = self.records.get(key)
        if there is None:
            self.records[key] = Gathered(ttl, rdata, canonical, file, line)
            if rdtype == constants.SOA and owner != self.apex:
                self._soa_elsewhere(owner, file, line)
            return
        if not there.holds(canonical):
            if rdtype in _SINGLE:
                self._second_of(owner, rdtype, file, line)
            there.add(rdata, canonical)
        # The TTL of an RRSIG is that of the RRset that it covers (RFC 4034 §3), so those of a name may well differ.
        if ttl != there.ttl and rdtype != constants.RRSIG:
            self._other_ttl(owner, there, ttl, file, line)

    def lose(self, owner: bytes | None, rdtype: int | None) -> None:
        """Remember that something is written that could not be read, so that nobody is told that it is missing."""
        self.lost.add((owner, rdtype))

    def lacks(self, owner: bytes, rdtype: int) -> bool:
        """Say whether there is certainly no such record, not even among what could not be read."""
        places = [(name, kind) for name in (owner, None) for kind in (rdtype, None)]
        return (owner, rdtype) not in self.records and self.lost.isdisjoint(places)

    def rrsets(self) -> dict[tuple[bytes, int], RRset]:
        """Return the RRsets as the core keeps them, in the order of the files."""
        return {
            (owner, rdtype): RRset(rdtype, gathered.ttl, gathered.rdatas)
            for (owner, rdtype), gathered in self.records.items()
        }

    def problem(self, file: str, line: int, *, place: str, problem_id: str, message: str) -> None:
        """Keep a reason why the zone cannot be used."""
        self.problems.append(Problem(file, line, place, problem_id, message))

    def warning(self, file: str, line: int, *, place: str, problem_id: str, message: str) -> None:
        """Keep what is odd but serves."""
        self.warnings.append(Problem(file, line, place, problem_id, message))

    def _soa_elsewhere(self, owner: bytes, file: str, line: int) -> None:
        apex = names.to_text(self.apex)
        message = f"a SOA record stands only at the apex, {apex}"
        self.problem(file, line, place=names.to_text(owner), problem_id="soa-not-at-apex", message=message)

    def _second_of(self, owner: bytes, rdtype: int, file: str, line: int) -> None:
        kind = _SINGLE[rdtype]
        message = f"the name has a {kind} record already, and may have only one"
        self.problem(file, line, place=names.to_text(owner), problem_id=f"several-{kind.lower()}", message=message)

    def _other_ttl(self, owner: bytes, there: Gathered, ttl: int, file: str, line: int) -> None:
        # RFC 2181 §5.2: "the TTLs of all RRs in an RRSet must be the same"; a client is to take the least of them.
        if not there.ttl_varies:
            message = f"the TTL differs from that in line {there.line}; the least is used for the whole RRset"
            self.warning(file, line, place=names.to_text(owner), problem_id="ttl-differs", message=message)
        there.ttl_varies = True
        there.ttl = min(there.ttl, ttl)
