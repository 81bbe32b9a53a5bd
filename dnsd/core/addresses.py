"""The additional section: glue of referrals, and addresses of the names that an answer points to.

It looks at names as they stand: no wildcard and no alias leads to an address here.
"""

from __future__ import annotations

from collections.abc import Iterator

from dnsd.core.answer import Answer, OwnedRRset
from dnsd.core.constants import AAAA, MX, NS, SRV, A
from dnsd.core.countdown import served
from dnsd.core.limits import MAX_ADDITIONAL_NAMES
from dnsd.core.names import is_at_or_below
from dnsd.core.owners import closest_zone
from dnsd.core.records import RRset, Snapshot, Zone, ZoneNode

# Where in its RDATA a type names a host (RFC 1035 §3.3, RFC 2782).
_HOST_OFFSET = {NS: 0, MX: 2, SRV: 6}


def add_addresses(snapshot: Snapshot, answer: Answer, *, now: float | None) -> None:
    """Add the addresses that an answer of NS, MX or SRV records makes useful (RFC 1034 §4.3.2 step 6).

    Args:
        now: instant; None: it is for nobody: no TTL counts down, and no answer is noted.
    """
    if not answer.answer:
        return
    rrset = answer.answer[-1][1]
    if rrset.rdtype not in _HOST_OFFSET:
        return
    for target in _targets(rrset)[:MAX_ADDITIONAL_NAMES]:
        zone = closest_zone(snapshot.zones, target)
        if zone is not None:
            answer.additional += _addresses_of(snapshot, zone, target, now)


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
            answer.glue += _addresses_of(snapshot, parent_zone, target, now)
        elif siblings < MAX_ADDITIONAL_NAMES and is_at_or_below(target, parent_zone.apex):
            siblings += 1
            zone = closest_zone(snapshot.zones, target) or parent_zone
            answer.additional += _addresses_of(snapshot, zone, target, now)


def _targets(rrset: RRset) -> list[bytes]:
    """The hosts that an RRset names, folded, each once."""
    offset = _HOST_OFFSET[rrset.rdtype]
    return list(dict.fromkeys(rdata[offset:].lower() for rdata in rrset.rdatas))


def _addresses_of(snapshot: Snapshot, zone: Zone, name: bytes, now: float | None) -> Iterator[OwnedRRset]:
    node: ZoneNode | None = snapshot.overlay.get(name) or zone.nodes.get(name)
    if node is None or node.fails:
        return
    for rdtype in (A, AAAA):
        found = node.rrsets.get(rdtype)
        if found is not None:
            rrset = found.pick()
            if node.trace is not None and now is not None:
                rrset = served(node, rrset, now)
            yield name, rrset
