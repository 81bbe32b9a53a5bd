"""An authoritative lookup written for obviousness: names as tuples of labels, one flat set of records, no index.

It shares no code with the server, walks top-down where the server walks bottom-up, and takes the fleet's addresses as
records like any other. It covers the types that random zones are made of.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Name = tuple[str, ...]  # from the leftmost label; the root is ()
Record = tuple[Name, str, object]  # owner, type, and a Name or some text
Records = frozenset[Record]

ALIAS_LIMIT = 17


@dataclass
class Outcome:
    """A response: RCODE, AA, and its sections, of which order matters in none but the answer."""

    rcode: str = "NOERROR"
    aa: bool = False
    answer: list[Record] = field(default_factory=list)
    authority: set[Record] = field(default_factory=set)
    additional: set[Record] = field(default_factory=set)


def resolve(zones: dict[Name, Records], qname: Name, qtype: str) -> Outcome:
    """Answer a question from zones by apex; each zone's SOA record holds its apex as text."""
    outcome = Outcome()
    name = qname
    followed: set[Name] = set()
    while len(followed) < ALIAS_LIMIT:
        apex = _home(zones, name, qtype)
        if apex is None:
            if not followed:
                outcome.rcode = "REFUSED"
            return outcome
        followed.add(name)
        target = _step(zones, apex, name, qtype, outcome)
        if target is None:
            outcome.additional |= _useful(zones, outcome.answer)
            return outcome
        if target in followed:
            return outcome
        name = target
    return outcome


def _suffixes(name: Name) -> list[Name]:
    """The name and its ancestors, the shortest first."""
    return [name[start:] for start in range(len(name), -1, -1)]


def _home(zones: dict[Name, Records], name: Name, qtype: str) -> Name | None:
    homes = [suffix for suffix in _suffixes(name) if suffix in zones]
    if not homes:
        return None
    if qtype == "DS" and homes[-1] == name and len(homes) > 1:
        above = homes[-2]
        hidden = any(_hides(zones[above], above, suffix) for suffix in _suffixes(name) if suffix != name)
        if _exists(zones[above], name) and not hidden:
            return above
    return homes[-1]


def _of(records: Records, name: Name, rdtype: str) -> list[Record]:
    return sorted((record for record in records if record[:2] == (name, rdtype)), key=repr)


def _hides(records: Records, apex: Name, name: Name) -> bool:
    """Whether a name is a cut or owns a DNAME, and so hides what is below it."""
    if len(name) < len(apex):
        return False
    return bool(_of(records, name, "DNAME")) or (name != apex and bool(_of(records, name, "NS")))


def _exists(records: Records, name: Name) -> bool:
    return any(owner[len(owner) - len(name) :] == name for owner, _, _ in records if len(owner) >= len(name))


def _step(zones: dict[Name, Records], apex: Name, name: Name, qtype: str, outcome: Outcome) -> Name | None:
    records = zones[apex]
    for suffix in _suffixes(name):
        if len(suffix) > len(apex) and _of(records, suffix, "NS") and not (qtype == "DS" and suffix == name):
            outcome.authority |= set(_of(records, suffix, "NS"))
            outcome.additional |= _glue(zones, apex, suffix)
            return None
        if len(suffix) >= len(apex) and suffix != name and _of(records, suffix, "DNAME"):
            return _redirect(_of(records, suffix, "DNAME")[0], name, qtype, outcome)
    outcome.aa = True
    source = name
    if not _exists(records, name):
        encloser = [suffix for suffix in _suffixes(name) if _exists(records, suffix)][-1]
        source = ("*", *encloser)
        if not _exists(records, source):
            outcome.rcode = "NXDOMAIN"
            outcome.authority |= set(_of(records, apex, "SOA"))
            return None
    return _match(records, apex, (source, name), qtype, outcome)


def _match(records: Records, apex: Name, at: tuple[Name, Name], qtype: str, outcome: Outcome) -> Name | None:
    source, name = at
    found = _of(records, source, qtype)
    alias = _of(records, source, "CNAME")
    for _, rdtype, rdata in found or alias:
        outcome.answer.append((name, rdtype, rdata))
    if not found and alias:
        target = alias[0][2]
        assert isinstance(target, tuple)
        return target
    if not found:
        outcome.authority |= set(_of(records, apex, "SOA"))
    return None


def _redirect(dname: Record, name: Name, qtype: str, outcome: Outcome) -> Name | None:
    owner, _, into = dname
    assert isinstance(into, tuple)
    outcome.aa = True
    if dname not in outcome.answer:
        outcome.answer.append(dname)
    target = (*name[: len(name) - len(owner)], *into)
    if sum(len(label) + 1 for label in target) + 1 > 255:
        outcome.rcode = "YXDOMAIN"
        return None
    outcome.answer.append((name, "CNAME", target))
    return None if qtype == "CNAME" else target


def _glue(zones: dict[Name, Records], apex: Name, cut: Name) -> set[Record]:
    glue: set[Record] = set()
    for _, _, host in _of(zones[apex], cut, "NS"):
        assert isinstance(host, tuple)
        if host[len(host) - len(cut) :] == cut:
            glue |= set(_of(zones[apex], host, "A"))
        elif host[len(host) - len(apex) :] == apex:
            home = [suffix for suffix in _suffixes(host) if suffix in zones][-1]
            glue |= set(_of(zones[home], host, "A")) or _addresses(zones[home], home, host)
    return glue


def _useful(zones: dict[Name, Records], answer: list[Record]) -> set[Record]:
    """The addresses of the name servers that an answer names, from whichever zone each belongs to."""
    useful: set[Record] = set()
    for _, rdtype, host in answer:
        homes = [suffix for suffix in _suffixes(host) if suffix in zones] if isinstance(host, tuple) else []
        if rdtype == "NS" and isinstance(host, tuple) and homes:
            useful |= _addresses(zones[homes[-1]], homes[-1], host)
    return useful


def _addresses(records: Records, apex: Name, host: Name) -> set[Record]:
    """A client's view of a host: wildcards count, and of what is hidden only the servers of a delegation."""
    hidden = [suffix for suffix in _suffixes(host)[:-1] if _hides(records, apex, suffix)]
    if _of(records, host, "NS") and host != apex:
        hidden.append(host)
    if hidden and (hidden[0], "NS", host) not in records:
        return set()
    if _exists(records, host):
        return set(_of(records, host, "A"))
    encloser = [suffix for suffix in _suffixes(host) if _exists(records, suffix)][-1]
    return {(host, rdtype, rdata) for _, rdtype, rdata in _of(records, ("*", *encloser), "A")}
