"""The additional section: glue of referrals, and addresses of the names that an answer points to.

Glue stands at its very name. An answer's names are looked up as a client would: a wildcard may have their addresses,
and of what is below a delegation only its servers are told. No alias is followed, but for those that SVCB itself has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dnsd.core.answer import Answer, OwnedRRset
from dnsd.core.constants import AAAA, AFSDB, DNAME, HTTPS, KX, MX, NS, RT, SRV, SVCB, A
from dnsd.core.countdown import served
from dnsd.core.limits import MAX_ADDITIONAL_NAMES, MAX_SERVICE_ALIASES
from dnsd.core.names import ROOT, WILDCARD, is_at_or_below, name_end
from dnsd.core.owners import closest_zone
from dnsd.core.records import RRset, Snapshot, Zone, ZoneNode

ADDRESSES = (A, AAAA)

# Where in its RDATA a type names a host (RFC 1035 §3.3, RFC 1183, RFC 2230, RFC 2782, RFC 9460 §2.2).
_HOST_OFFSET = {NS: 0, MX: 2, AFSDB: 2, RT: 2, KX: 2, SRV: 6, SVCB: 2, HTTPS: 2}
_SERVICES = (SVCB, HTTPS)

_ALIAS_MODE = b"\0\0"  # RFC 9460 §2.4.1: a priority of 0


def add_addresses(snapshot: Snapshot, answer: Answer, *, now: float | None) -> None:
    """Add the records that an answer which names hosts makes useful (RFC 1034 §4.3.2 step 6, RFC 9460 §4.1).

    Args:
        now: instant; None: it is for nobody: no TTL counts down, and no answer is noted.
    """
    if not answer.answer:
        return
    owner, rrset = answer.answer[-1]
    if rrset.rdtype not in _HOST_OFFSET:
        return
    if rrset.rdtype in _SERVICES:
        _add_services(snapshot, answer, owner, rrset, now)
        return
    _add(snapshot, answer, _targets(rrset), ADDRESSES, now)


def _add_services(snapshot: Snapshot, answer: Answer, owner: bytes, rrset: RRset, now: float | None) -> None:
    """Add what a client would ask next: the services that an alias leads to, and addresses of endpoints."""
    for _ in range(MAX_SERVICE_ALIASES):
        _add(snapshot, answer, _endpoints(owner, rrset), ADDRESSES, now)
        owner = next(_aliases(rrset), ROOT)
        if owner == ROOT:  # none, or one that says that there is no such service (RFC 9460 §2.5.1)
            return
        before = len(answer.additional)
        _add(snapshot, answer, [owner], (rrset.rdtype, *ADDRESSES), now)
        if len(answer.additional) == before or answer.additional[before][1].rdtype != rrset.rdtype:
            return
        rrset = answer.additional[before][1]


def _aliases(rrset: RRset) -> Iterator[bytes]:
    return (_target_of(rdata, rrset.rdtype) for rdata in rrset.rdatas if rdata.startswith(_ALIAS_MODE))


def _endpoints(owner: bytes, rrset: RRset) -> list[bytes]:
    """Return the hosts of ServiceMode records; the root stands for the owner (RFC 9460 §2.5.2)."""
    services = (rdata for rdata in rrset.rdatas if not rdata.startswith(_ALIAS_MODE))
    targets = (_target_of(rdata, rrset.rdtype) for rdata in services)
    return list(dict.fromkeys(owner if target == ROOT else target for target in targets))


def _add(snapshot: Snapshot, answer: Answer, targets: list[bytes], rdtypes: Iterable[int], now: float | None) -> None:
    there = {(owner, rrset.rdtype) for owner, rrset in (*answer.answer, *answer.additional)}
    for target in targets[:MAX_ADDITIONAL_NAMES]:
        zone = closest_zone(snapshot.zones, target)
        node = None if zone is None else _node_for(snapshot, zone, target)
        if node is not None:
            answer.pool_parts += node.trace is not None
            answer.additional += [
                (target, rrset) for rrset in _records_of(node, rdtypes, now) if (target, rrset.rdtype) not in there
            ]


def add_glue(snapshot: Snapshot, cut: bytes, servers: RRset, answer: Answer, *, now: float | None) -> None:
    """Add the addresses of a referral's name servers, as far as its zone or the fleet has them.

    RFC 9471 §3.1: all glue of in-domain name servers must be there, or TC set; §3.2: that of sibling name servers
    may be left out.

    Args:
        cut: folded name of the delegation.
        servers: its NS records.
        now: instant; None: it is for nobody: no TTL counts down, and no answer is noted.
    """
    parent_zone = answer.zone
    if parent_zone is None:
        return
    siblings = 0
    for target in _targets(servers):
        if is_at_or_below(target, cut):
            node = snapshot.overlay.get(target) or parent_zone.nodes.get(target)
            answer.glue += _owned(answer, target, node, now)
        elif siblings < MAX_ADDITIONAL_NAMES and is_at_or_below(target, parent_zone.apex):
            siblings += 1
            zone = closest_zone(snapshot.zones, target) or parent_zone
            node = snapshot.overlay.get(target) or zone.nodes.get(target) or _node_for(snapshot, zone, target)
            answer.additional += _owned(answer, target, node, now)


def _targets(rrset: RRset) -> list[bytes]:
    """The hosts that an RRset names, folded, each once."""
    return list(dict.fromkeys(_target_of(rdata, rrset.rdtype) for rdata in rrset.rdatas))


def _target_of(rdata: bytes, rdtype: int) -> bytes:
    offset = _HOST_OFFSET[rdtype]
    end = name_end(rdata, offset) if rdtype in _SERVICES else len(rdata)
    return rdata[offset:end].lower()


def _owned(answer: Answer, name: bytes, node: ZoneNode | None, now: float | None) -> Iterator[OwnedRRset]:
    if node is not None:
        answer.pool_parts += node.trace is not None
        for rrset in _records_of(node, ADDRESSES, now):
            yield name, rrset


def _node_for(snapshot: Snapshot, zone: Zone, name: bytes) -> ZoneNode | None:
    """Return what would be answered from for a name, where that is data of ours and no alias."""
    overlay, nodes = snapshot.overlay, zone.nodes
    encloser = name
    while (node := overlay.get(encloser) or nodes.get(encloser)) is None:
        encloser = encloser[encloser[0] + 1 :]
    if node.cut or node.occluded_by is not None:
        return node if encloser is name and _is_glue(nodes, node, name) else None
    if encloser is name:
        return node
    if DNAME in node.rrsets:
        return None  # an alias, which wins over a wildcard (RFC 6672 §3.2)
    source = WILDCARD + encloser
    return overlay.get(source) or nodes.get(source)


def _is_glue(nodes: Mapping[bytes, ZoneNode], node: ZoneNode, name: bytes) -> bool:
    """Say whether a name below a delegation is one of its servers; what else is there is not for us to tell."""
    cut = node if node.occluded_by is None else nodes[node.occluded_by]
    return NS in cut.rrsets and name in _targets(cut.rrsets[NS].pick())


def _records_of(node: ZoneNode, rdtypes: Iterable[int], now: float | None) -> Iterator[RRset]:
    if node.fails:
        return
    for rdtype in rdtypes:
        found = node.rrsets.get(rdtype)
        if found is not None:
            rrset = found.pick()
            if node.trace is not None and now is not None:
                rrset = served(node, rrset, now)
            yield rrset
