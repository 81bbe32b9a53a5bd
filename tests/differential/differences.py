"""Where our answers may differ from those of the others, and why: one row for each reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import dns.name
import dns.rcode
import dns.rdatatype

from tests.differential.comparing import Record, Seen
from tests.differential.judging import Case, core, extra, lacking, missing_glue
from tests.differential.zones import facts, zone_of

# Aliases in one answer, and names whose addresses it has along: docs/rfc-status.md, RFC 1034.
MOST_ALIASES = 17
MOST_NAMES = 16

CNAME, DNAME, DS, SOA, ANY, NSEC, RRSIG, SVCB, HTTPS, RT, KX = (
    dns.rdatatype.from_text(text)
    for text in ("CNAME", "DNAME", "DS", "SOA", "ANY", "NSEC", "RRSIG", "SVCB", "HTTPS", "RT", "KX")
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A reason to differ.

    Args:
        example: `name type` of a question where it does.
        rfc: what is said of it, and where.
        holds: whether it explains a case where ours is not as most others.
    """

    example: str
    rfc: str
    holds: Callable[[Case], bool]


@dataclass(frozen=True, slots=True)
class AdditionalDifference:
    """A reason for one additional record to be there, or not to be, unlike with the others."""

    example: str
    rfc: str
    holds: Callable[[Case, Record], bool]


def _name(wire: bytes) -> dns.name.Name:
    return dns.name.from_wire(wire, 0)[0]


def _final(answer: Seen, question: dns.name.Name) -> dns.name.Name:
    """Return the name that a chain ends at."""
    names = [_name(record.rdata) for record in answer.chain if record.rdtype == CNAME]
    return names[-1] if names else question


def _as_nsd(case: Case) -> bool:
    return "nsd" in case.others and core(case.ours) == core(case.others["nsd"])


# --- RCODE, flags, answer, authority --------------------------------------------------------------------------------


def _leaves_its_zone(case: Case) -> bool:
    """Whether an alias leads from one zone of the server to another."""
    aliases = [record for record in case.ours.chain if record.rdtype == CNAME]
    return any(zone_of(_name(alias.owner)) is not zone_of(_name(alias.rdata)) for alias in aliases)


def _behind_hidden_wildcard(case: Case) -> bool:
    """NSD keeps all zones in one tree, and meets the wildcard that the parent's file has below the cut."""
    final = _final(case.ours, case.question.name)
    hidden = final.is_subdomain(dns.name.from_text("child.parent.test."))
    no_error = replace(case.ours, rcode=int(dns.rcode.NOERROR))
    denied = hidden and case.ours.rcode == dns.rcode.NXDOMAIN
    return denied and "nsd" in case.others and core(no_error) == core(case.others["nsd"])


def _long_chain(case: Case) -> bool:
    longest = case.others["nsd"].chain if "nsd" in case.others else ()
    ours = case.ours
    aliases_alone = len(ours.answer) == MOST_ALIASES and not ours.authority and not ours.rcode
    return aliases_alone and ours.chain == longest[:MOST_ALIASES]


def _one_rrset(case: Case) -> bool:
    ours = case.ours
    if case.question.rdtype != ANY or ours.authority or not ours.answer:
        return False
    theirs = {
        (each.rdtype, each.ttl, each.rdata)
        for other in case.others.values()
        for each in (*other.answer, *other.authority)
    }
    same = {(record.owner, record.rdtype) for record in ours.answer}
    return len(same) == 1 and {(each.rdtype, each.ttl, each.rdata) for each in ours.answer} <= theirs


def _any_behind_dname(case: Case) -> bool:
    return case.question.rdtype == ANY and any(record.rdtype == DNAME for record in case.ours.chain) and _as_nsd(case)


def _denied_by_child(case: Case, child: str) -> bool:
    """Whether it is a DS of a child zone, and the child has said that there is none."""
    asked = case.question.rdtype == DS and _final(case.ours, case.question.name) == facts(child).apex
    authority = case.ours.authority
    return asked and [(record.owner, record.rdtype) for record in authority] == [(facts(child).apex.to_wire(), SOA)]


DIFFERENCES = [
    Difference(
        "away.other-alias.test. A",
        "RFC 1034 §4.3.2: after an alias, back to step 2, the nearest zone of all that are here. Knot and BIND stay in "
        "the first zone; NSD goes on as we do",
        lambda case: _leaves_its_zone(case) and _as_nsd(case),
    ),
    Difference(
        "nothing.d.parent.test. AAAA",
        "RFC 1034 §4.2.1: what is below a cut is not of the parent's zone, so no wildcard of the parent's counts there",
        lambda case: _leaves_its_zone(case) and _behind_hidden_wildcard(case),
    ),
    Difference(
        "c2.alias.test. NSEC",
        "RFC 1034 §3.6.2: an alias is followed for every type but CNAME. Knot and BIND hold NSEC and RRSIG, which may "
        "stand beside a CNAME, to be of the alias itself; in a zone without them the answer leads to the same",
        lambda case: case.question.rdtype in (NSEC, RRSIG) and bool(case.ours.chain) and _as_nsd(case),
    ),
    Difference(
        "l1.alias.test. A",
        "RFC 1034 §3.6.2: chains are to be followed, and how far is not said. All end somewhere, each elsewhere",
        _long_chain,
    ),
    Difference(
        "alias.test. ANY",
        "RFC 8482 §4.1: one RRset of those that exist, and which is the server's choice",
        _one_rrset,
    ),
    Difference(
        "x.apex-dname.test. ANY",
        "RFC 6672 §3.2: a DNAME is followed, with no exception for ANY",
        _any_behind_dname,
    ),
    Difference(
        "sub.away.parent.test. DS",
        "RFC 4035 §3.1.4.1: who has the child, but not the parent (here: away.parent.test), MUST say that there is no "
        "DS. The others refer to the parent's servers, out of the grandparent's zone",
        lambda case: _denied_by_child(case, "sub.away.parent.test."),
    ),
]

# --- additional records ---------------------------------------------------------------------------------------------


def _other_than_authoritative(case: Case, record: Record) -> bool:
    """Whether ours has the same RRset, from the zone that the name is in."""
    instead = [each for each in case.ours.additional if (each.owner, each.rdtype) == (record.owner, record.rdtype)]
    return bool(instead) and all(_is_data(each) for each in instead)


def _is_data(record: Record) -> bool:
    owner = _name(record.owner)
    zone = zone_of(owner)
    rdatas = zone.records.get(owner, {}).get(record.rdtype, []) if zone is not None else []
    return record.rdata in [rdata.to_digestable() for rdata in rdatas]


def _from_other_zone(case: Case, record: Record) -> bool:
    """Whether it is true data of another zone than the one that answers."""
    final = _final(case.ours, case.question.name)
    return zone_of(_name(record.owner)) is not zone_of(final) and _is_data(record)


def _one_too_many(case: Case, _record: Record) -> bool:
    return len({record.owner for record in case.ours.additional}) == MOST_NAMES


def _does_not_fit(case: Case, record: Record) -> bool:
    return case.whole is not None and record in case.whole.additional and not missing_glue(case.ours)


def _fits(case: Case, record: Record) -> bool:
    return case.whole is not None and record in case.whole.additional


LACKING = [
    AdditionalDifference(
        "child.parent.test. NS",
        "RFC 2181 §5.4.1: data of the zone that a name is in is worth more than another zone's glue",
        _other_than_authoritative,
    ),
    AdditionalDifference("mx24.big.test. MX", "RFC 1034 §4.3.2 step 6: optional. We stop at 16 names", _one_too_many),
    AdditionalDifference(
        "mx10.big.test. MX", "RFC 2181 §9: what does not fit of an additional section is left out", _does_not_fit
    ),
]

EXTRA = [
    AdditionalDifference(
        "2.0.192.in-addr.arpa. NS",
        "RFC 1034 §4.3.2 step 6: from local data, which other zones of the server are as well",
        _from_other_zone,
    ),
    AdditionalDifference("mx60.big.test. MX", "RFC 2181 §9: as much of an additional section as fits", _fits),
]


def unexplained(case: Case, complaints: list[str]) -> list[str]:
    """Return what is left of complaints when every row has been heard."""
    left = [complaint for complaint in complaints if not complaint.startswith(("core", "lacking", "extra"))]
    if "core" in complaints and not any(row.holds(case) for row in DIFFERENCES):
        left.append("core")
    if any(complaint.startswith("lacking") for complaint in complaints):
        left += [f"lacking: {each}" for each in lacking(case) if not any(row.holds(case, each) for row in LACKING)]
    if any(complaint.startswith("extra") for complaint in complaints):
        left += [f"extra: {each}" for each in extra(case) if not any(row.holds(case, each) for row in EXTRA)]
    return left
