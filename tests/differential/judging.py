"""Whether an answer of ours is as it should be, by the answers of the others.

- Where two of the others agree on RCODE, AA, TC, answer and authority, ours must agree with them; where no two do, with
  one. Or a row of `differences` says why not.
- The additional section is optional but for the glue of a referral. So it must have what two of the others have, and
  nothing that none of them has, or a row says why not.
- Where one of them is truncated, ours must be whole, or a part of the whole answer.

NSD adds the zone's NS records to positive answers, with their addresses; those are left out first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import dns.flags
import dns.name
import dns.rdatatype

from tests.differential.asking import Question
from tests.differential.comparing import ALIASES, Record, Seen
from tests.differential.zones import FILES, zone_of

Core = tuple[int, int, tuple[Record, ...], tuple[Record, ...], tuple[Record, ...]]

# How many of the others make a majority.
MAJORITY = 2

APEXES = {dns.name.from_text(apex).to_wire() for apex in FILES}


@dataclass(frozen=True, slots=True)
class Case:
    """A question and all answers.

    Args:
        others: by server; those that have the zone.
        whole: our answer over TCP; None: it was not asked for, as nothing that is large is in any of the answers.
    """

    question: Question
    ours: Seen
    others: Mapping[str, Seen]
    whole: Seen | None = None

    def __str__(self) -> str:
        answers = {"dnsd": self.ours, **self.others}
        return "\n".join([str(self.question), *(f"{name}: {answer}" for name, answer in answers.items())])


def core(answer: Seen) -> Core:
    """Return the parts of an answer that a server has no choice in."""
    return answer.rcode, answer.flags, answer.chain, answer.answer, answer.authority


def without_apex_servers(answer: Seen) -> Seen:
    """Return an answer without the zone's NS records in the authority section, and what comes with them."""
    servers = [record for record in answer.authority if _is_apex_ns(record)]
    if not answer.answer or not servers:
        return answer
    data = [record.rdata for record in answer.answer if record.rdtype not in ALIASES]
    hosts = {record.rdata for record in servers if not any(each.endswith(record.rdata) for each in data)}
    return replace(
        answer,
        authority=tuple(record for record in answer.authority if not _is_apex_ns(record)),
        additional=tuple(record for record in answer.additional if record.owner not in hosts),
    )


def _is_apex_ns(record: Record) -> bool:
    return record.rdtype == dns.rdatatype.NS and record.owner in APEXES


def complaints(case: Case) -> list[str]:
    """Return what is wrong with our answer, before the differences that are known."""
    found = [part for part in ("question", "edns", "echoed") if not _agrees(case, part)]
    if any(answer.truncated for answer in (case.ours, *case.others.values())):
        return found + _wrong_truncation(case)
    if not _agrees_on_core(case):
        found.append("core")
    found += [f"lacking: {record}" for record in lacking(case)]
    found += [f"extra: {record}" for record in extra(case)]
    found += [f"no glue: {record}" for record in missing_glue(case.ours)]
    if len(set(case.ours.additional)) < len(case.ours.additional):
        found.append("twice in the additional section")
    return found


def _agrees(case: Case, part: str) -> bool:
    most = Counter(getattr(other, part) for other in case.others.values()).most_common(1)[0][0]
    return bool(getattr(case.ours, part) == most)


def _agrees_on_core(case: Case) -> bool:
    counted = Counter(core(other) for other in case.others.values())
    most, count = counted.most_common(1)[0]
    return core(case.ours) == most if count >= MAJORITY else core(case.ours) in counted


def lacking(case: Case) -> list[Record]:
    """Return the additional records that a majority has and we have not."""
    counted = Counter(record for other in case.others.values() for record in set(other.additional))
    return [record for record, count in counted.items() if count >= MAJORITY and record not in case.ours.additional]


def extra(case: Case) -> list[Record]:
    """Return our additional records that none of the others has."""
    theirs = {record for other in case.others.values() for record in other.additional}
    return [record for record in case.ours.additional if record not in theirs]


def missing_glue(answer: Seen) -> list[Record]:
    """Return the addresses of in-domain name servers that a referral must have along (RFC 9471 §3.1)."""
    if answer.flags & dns.flags.AA:
        return []
    missing = []
    for servers in answer.authority:
        cut = dns.name.from_wire(servers.owner, 0)[0]
        host = dns.name.from_wire(servers.rdata, 0)[0] if servers.rdtype == dns.rdatatype.NS else dns.name.root
        zone = zone_of(cut)
        if zone is None or not host.is_subdomain(cut):
            continue
        addresses = {kind: zone.records.get(host, {}).get(kind, []) for kind in (dns.rdatatype.A, dns.rdatatype.AAAA)}
        have = {(record.owner, record.rdata) for record in answer.additional}
        for rdatas in addresses.values():
            lost = [rdata for rdata in rdatas if (host.to_digestable(), rdata.to_digestable()) not in have]
            missing += [servers] if lost else []
    return missing


def _wrong_truncation(case: Case) -> list[str]:
    ours, whole = case.ours, case.whole
    assert whole is not None, f"not asked over TCP:\n{case}"
    found = []
    # The whole answer is a case of its own, and judged there.
    if (ours.rcode, ours.flags & dns.flags.AA) != (whole.rcode, whole.flags & dns.flags.AA):
        found.append("RCODE or AA")
    if not ours.truncated:
        return (
            found if (ours.answer, ours.authority) == (whole.answer, whole.authority) else [*found, "part without TC"]
        )
    if not any(other.truncated for other in case.others.values()):
        found.append("TC")
    for mine, all_of_it in ((ours.answer, whole.answer), (ours.authority, whole.authority)):
        if not set(mine) <= set(all_of_it):
            found.append("more than the whole")
        sets = {(record.owner, record.rdtype) for record in mine}
        if any((record.owner, record.rdtype) in sets and record not in mine for record in all_of_it):
            found.append("a part of an RRset")
    return found
