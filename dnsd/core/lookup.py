"""From a question to its answer: the algorithm of RFC 1034 §4.3.2 over a snapshot.

At every name the overlay of pools and per-node records is asked before the zone, so that their names exist in every
sense: as matches, as closest enclosers and as empty non-terminals. It reads a snapshot and knows nothing of packets.
"""

from __future__ import annotations

from dnsd.core.addresses import add_addresses, add_glue
from dnsd.core.answer import Answer, Kind
from dnsd.core.constants import (
    ANY,
    CNAME,
    DNAME,
    DS,
    MAX_NAME_SIZE,
    NS,
    NXDOMAIN,
    REFUSED,
    SOA,
    YXDOMAIN,
)
from dnsd.core.countdown import clipped_ttl, next_change, served
from dnsd.core.limits import MAX_ALIASES
from dnsd.core.names import ROOT, WILDCARD, parent
from dnsd.core.owners import closest_zone
from dnsd.core.records import RRset, Snapshot, Zone, ZoneNode


def look_up(snapshot: Snapshot, qname: bytes, qtype: int, *, now: float | None = None, asked: bytes = b"") -> Answer:
    """Answer a question of class IN.

    Args:
        snapshot: what to answer from.
        qname: folded.
        qtype: a data type or ANY; other meta-types are not for lookups.
        now: instant of the answer; None: it is for nobody: no TTL counts down, and no answer is noted.
        asked: begins with the name as it was sent, whose case a name that is made of it keeps (RFC 4343 §4.1).
    """
    answer = Answer(asked=asked)
    name = qname
    for _ in range(MAX_ALIASES + 1):
        zone = _zone_for(snapshot, name, qtype)
        if zone is None:
            if not answer.answer:
                answer.kind, answer.rcode = Kind.REFUSED, REFUSED
            return answer
        target = _find(snapshot, zone, name, qtype, answer, now)
        if target is None:
            add_addresses(snapshot, answer, now=now)
            return answer
        # RFC 1034 §3.6.2: alias loops are errors in the data; the resolver gets one turn of it.
        if any(owner == target and rrset.rdtype == CNAME for owner, rrset in answer.answer):
            return answer
        name = target
    return answer


def _zone_for(snapshot: Snapshot, name: bytes, qtype: int) -> Zone | None:
    """Return the zone that answers for a name.

    RFC 4035 §3.1.4.1: a DS is answered by the parent's side of a zone cut. Where the parent is not ours, or has no such
    name at all, the child says NODATA: a name that exists is denied by nobody.
    """
    zone = closest_zone(snapshot.zones, name)
    if qtype != DS or zone is None or zone.apex != name or name == ROOT:
        return zone
    above = closest_zone(snapshot.zones, parent(name))
    node = None if above is None else above.nodes.get(name)
    return above if node is not None and node.occluded_by is None else zone


def _find(snapshot: Snapshot, zone: Zone, name: bytes, qtype: int, answer: Answer, now: float | None) -> bytes | None:
    """Add what a zone says of a name; return the name to go on with after an alias."""
    overlay, nodes = snapshot.overlay, zone.nodes
    answer.zone, answer.wildcard = zone, None
    if qtype == DS and (node := nodes.get(name)) is not None and node.occluded_by is None:
        # The overlay is not asked: what it has at a child's apex is the child's, and it has no DS.
        answer.closest_encloser = name
        return _take(node, name, qtype, answer, now)
    encloser = name
    while (node := overlay.get(encloser) or nodes.get(encloser)) is None:
        encloser = encloser[encloser[0] + 1 :]
    if node.occluded_by is not None:
        encloser = node.occluded_by
        node = nodes[encloser]
    answer.closest_encloser = encloser
    if node.cut:
        _refer(snapshot, encloser, node, answer, now)
        return None
    if encloser is not name:
        if DNAME in node.rrsets:
            return _substitute(encloser, node, name, qtype, answer)
        # RFC 4592 §3.3.1: the one wildcard that counts is the closest encloser's own.
        answer.wildcard = WILDCARD + encloser
        source = overlay.get(answer.wildcard) or nodes.get(answer.wildcard)
        if source is None:
            answer.wildcard = None
            _deny(zone, answer, kind=Kind.NXDOMAIN)
            return None
        node = source
    return _take(node, name, qtype, answer, now)


def _take(node: ZoneNode, name: bytes, qtype: int, answer: Answer, now: float | None) -> bytes | None:
    """Add what a node holds for the question's type; return the target of an alias."""
    if node.trace is not None:
        answer.pool_parts += 1
        if qtype in node.pooled or qtype == ANY:
            answer.pool = node
    if node.fails and (qtype in node.pooled or qtype == ANY):
        answer.fail()
        return None
    answer.authoritative = True
    rrsets = node.rrsets
    found = rrsets.get(qtype)
    if found is None and qtype == ANY and rrsets:
        # RFC 8482 §4.1: one RRset of those that exist. The lowest number, so that addresses come first.
        found = rrsets[min(rrsets)]
    if found is not None:
        rrset = found.pick()
        if node.trace is not None and now is not None:
            rrset = served(node, rrset, now)
        answer.answer.append((name, rrset))
        answer.kind = Kind.DATA
        return None
    alias = rrsets.get(CNAME)
    if alias is not None:
        rrset = alias.pick()
        answer.answer.append((name, rrset))
        answer.kind = Kind.ALIAS
        return rrset.rdatas[0].lower()
    if answer.zone is not None:
        _deny(answer.zone, answer, kind=Kind.NODATA)
        if node.changes_at is not None and now is not None:
            _shorten_denial(answer, next_change(node.changes_at, qtype), now)
    return None


def _substitute(owner: bytes, node: ZoneNode, name: bytes, qtype: int, answer: Answer) -> bytes | None:
    """Add a DNAME and the CNAME that it makes (RFC 6672 §3.1, §3.2); return that one's target."""
    dname = node.rrsets[DNAME].pick()
    answer.authoritative = True
    if (owner, dname) not in answer.answer:
        answer.answer.append((owner, dname))
    kept = name[: -len(owner)]
    if answer.asked[: len(name)].lower() == name:
        kept = answer.asked[: len(kept)]
    target = kept + dname.rdatas[0]
    # RFC 6672 §3.2: on overflow, "set RCODE to YXDOMAIN and exit".
    if len(target) > MAX_NAME_SIZE:
        answer.kind, answer.rcode = Kind.OVERFLOW, YXDOMAIN
        return None
    # RFC 6672 §3.1: "The CNAME's TTL ... MUST equal the TTL of the corresponding DNAME record".
    answer.answer.append((name, RRset(CNAME, dname.ttl, (target,))))
    if qtype == CNAME:
        # The synthesised CNAME is what was asked for, as one in the zone would be. An ANY goes on: RFC 6672 §3.2 makes
        # no exception for it.
        answer.kind = Kind.DATA
        return None
    answer.kind = Kind.ALIAS
    return target.lower()


def _refer(snapshot: Snapshot, cut: bytes, node: ZoneNode, answer: Answer, now: float | None) -> None:
    """Make it a referral. AA stays as it was: set only by an alias on the way here."""
    answer.kind = Kind.REFERRAL
    servers = node.rrsets[NS].pick()
    answer.authority.append((cut, servers))
    add_glue(snapshot, cut, servers, answer, now=now)


def _deny(zone: Zone, answer: Answer, *, kind: Kind) -> None:
    """Make it NODATA or NXDOMAIN, with the zone's SOA for negative caches.

    RFC 6604 §3: the RCODE is that of the last name of a chain.
    """
    answer.kind = kind
    answer.authoritative = True
    if kind is Kind.NXDOMAIN:
        answer.rcode = NXDOMAIN
    # RFC 2308 §3: the SOA's TTL is set to the lesser of its own and its MINIMUM.
    answer.authority.append((zone.apex, RRset(SOA, zone.negative_ttl, zone.soa.rdatas)))


def _shorten_denial(answer: Answer, changes_at: float | None, now: float) -> None:
    """Let a NODATA live no longer than until there is an answer: its TTL is that of the SOA (RFC 2308 §5)."""
    owner, soa = answer.authority[-1]
    answer.authority[-1] = owner, RRset(SOA, clipped_ttl(soa.ttl, changes_at, now), soa.rdatas)
