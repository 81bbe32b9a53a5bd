"""From a pool's selection or a node's inventory to the overlay node that answers are rendered from.

Pure and deterministic: the same input makes equal nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address

from dnsd.core.constants import AAAA, A
from dnsd.core.names import from_text
from dnsd.core.owners import merged_node
from dnsd.core.records import Rotation, RRset, Zone, ZoneNode
from dnsd.core.sampling import variants
from dnsd.core.selection import Member, Selection, Tier
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec

# IP version and the type that carries its addresses.
FAMILIES = ((4, A), (6, AAAA))
_SIZES = {4: 4, 6: 16}  # bytes of an address

# Reading addresses is most of what compiling a pool costs, and they hardly ever change. Unit: (node, family) pairs.
PACKED_KEPT = 65_536


def pool_node(spec: PoolSpec, selection: Selection, zones: Mapping[bytes, Zone], *, turn: int = 0) -> ZoneNode:
    """Return the overlay node of a pool.

    Args:
        selection: what it answers from now.
        zones: what the zone file has at the same name, such as a TXT record, stays beside the addresses.
        turn: which variant the first answer gets.
    """
    rrsets = {}
    for version, rdtype in FAMILIES:
        orders = variants(_weighted(selection.members, version), max_answers=spec.max_answers)
        if orders:
            rrsets[rdtype] = Rotation(tuple(RRset(rdtype, spec.ttl, order) for order in orders), turn=turn)
    node = merged_node(zones, from_text(spec.owner), rrsets)
    node.fails = selection.tier is Tier.SERVFAIL
    return node


def record_node(node: Node, owner: bytes, zones: Mapping[bytes, Zone], *, ttl: int) -> ZoneNode:
    """Return the overlay node of a per-node name; no drain and no health changes it."""
    rrsets = {}
    for version, rdtype in FAMILIES:
        addresses = node.addresses_of(version)
        if addresses:
            rrsets[rdtype] = RRset(rdtype, ttl, addresses)
    return merged_node(zones, owner, rrsets)


def _weighted(members: Iterable[Member], version: int) -> list[tuple[bytes, int]]:
    """Return each address once; where nodes share one, it has the weight of all of them."""
    weights: dict[bytes, int] = {}
    for member in members:
        for address in _packed(member.node.addresses, version):
            weights[address] = weights.get(address, 0) + member.node.weight
    return list(weights.items())


@lru_cache(maxsize=PACKED_KEPT)
def _packed(addresses: tuple[str, ...], version: int) -> tuple[bytes, ...]:
    return tuple(packed for packed in map(_pack, addresses) if len(packed) == _SIZES[version])


def _pack(text: str) -> bytes:
    return ip_address(text).packed
