"""From a pool's selection or a node's inventory to the overlay node that answers are rendered from.

Pure and deterministic: the same input makes equal nodes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from dnsd.core.constants import AAAA, HTTPS, A
from dnsd.core.extended_errors import error_of_tier
from dnsd.core.names import from_text
from dnsd.core.owners import merged_node
from dnsd.core.packed import FAMILIES, packed
from dnsd.core.records import Answerable, Rotation, RRset, Zone, ZoneNode
from dnsd.core.sampled import Sampled
from dnsd.core.sampling import Weighted
from dnsd.core.selection import Member, Selection, Tier
from dnsd.core.services import TYPES, https_beside, service_records, types_of
from dnsd.core.spread import spread, staggered
from dnsd.core.trace import Trace
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec, PoolType


def pool_node(
    spec: PoolSpec,
    selection: Selection,
    zones: Mapping[bytes, Zone],
    *,
    changes_at: Mapping[int, float] | None = None,
    turn: int = 0,
) -> ZoneNode:
    """Return the overlay node of a pool.

    Args:
        selection: what it answers from now.
        zones: what the zone file has at the same name, such as a TXT record, stays beside the pool's records.
        changes_at: when the answers will be others, by type number.
        turn: which order or sample the first answer gets.
    """
    if spec.type is PoolType.ADDRESS:
        rrsets = _address_records(spec, selection, turn=turn)
    else:
        records = service_records(spec, selection, turn=turn)
        rrsets = {} if records is None else dict.fromkeys(TYPES[spec.type], records)
    node = merged_node(zones, from_text(spec.owner), rrsets)
    node.fails = selection.tier is Tier.SERVFAIL
    node.extended_errors = error_of_tier(selection.tier)
    node.pooled = types_of(spec)
    node.pool_ttl = spec.ttl
    node.changes_at = changes_at
    node.trace = Trace()
    return node


def _address_records(spec: PoolSpec, selection: Selection, *, turn: int) -> dict[int, Answerable]:
    families: dict[int, Rotation | Sampled] = {}
    for version, rdtype in FAMILIES:
        addresses = _weighted(selection.members, version)
        if addresses:
            found = spread(rdtype, spec.ttl, addresses, max_answers=spec.max_answers, turn=turn)
            if spec.https is not None and isinstance(found, Rotation):
                # An answer of HTTPS has the addresses as well (RFC 9460 §4.1), and browsers ask for both.
                found = staggered(found, turn=turn)
            families[rdtype] = found
    rrsets: dict[int, Answerable] = {**families}
    if spec.https is not None and families:
        rrsets[HTTPS] = https_beside(spec.ttl, spec.https, tuple(families.values()), turn=turn)
    return rrsets


def contents(spec: PoolSpec, selection: Selection) -> dict[int, Hashable]:
    """Return what the answers of a pool are made of, by type: equal where they are, turns and weights apart."""
    if spec.type is PoolType.ADDRESS:
        found: dict[int, Hashable] = {
            rdtype: addresses for rdtype, addresses in addresses_of(selection.members).items() if addresses
        }
        if spec.https is not None and found:
            found[HTTPS] = (found.get(A), found.get(AAAA))
        return found
    if not selection.members:
        return {}
    source = selection.source
    nodes = frozenset((member.node.id, source.port_of(member.node)) for member in selection.members)
    return dict.fromkeys(TYPES[spec.type], (source.service, source.targets, nodes))


def record_node(node: Node, owner: bytes, zones: Mapping[bytes, Zone], *, ttl: int) -> ZoneNode:
    """Return the overlay node of a per-node name; no drain and no health changes it."""
    rrsets = {}
    for version, rdtype in FAMILIES:
        addresses = packed(node.addresses, version)
        if addresses:
            rrsets[rdtype] = RRset(rdtype, ttl, addresses)
    return merged_node(zones, owner, rrsets)


def addresses_of(members: Iterable[Member]) -> dict[int, frozenset[bytes]]:
    """Return the packed addresses of nodes by the type that carries them."""
    everyone = tuple(members)
    return {
        rdtype: frozenset(address for member in everyone for address in packed(member.node.addresses, version))
        for version, rdtype in FAMILIES
    }


def _weighted(members: Iterable[Member], version: int) -> list[Weighted]:
    """Return each address once; where nodes share one, it has the weight of all of them, and the highest cap."""
    found: dict[bytes, Weighted] = {}
    for member in members:
        for address in packed(member.node.addresses, version):
            weight, cap = member.node.weight, member.share_cap
            other = found.get(address)
            if other is not None:
                weight, cap = weight + other.weight, max(cap, other.cap)
            found[address] = Weighted(address, weight, cap)
    return list(found.values())
