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
from dnsd.core.records import Answerable, Rotation, RRset, Zone, ZoneNode
from dnsd.core.sampled import Sampled
from dnsd.core.sampling import Line, Weighted, fits, rotations
from dnsd.core.selection import Member, Selection, Tier
from dnsd.core.trace import Trace
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec

# IP version and the type that carries its addresses.
FAMILIES = ((4, A), (6, AAAA))
_SIZES = {4: 4, 6: 16}  # bytes of an address

# Reading addresses is most of what compiling a pool costs, and they hardly ever change. Unit: (node, family) pairs.
PACKED_KEPT = 65_536


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
        zones: what the zone file has at the same name, such as a TXT record, stays beside the addresses.
        changes_at: when the answers will be others, by type number.
        turn: which order or sample the first answer gets.
    """
    rrsets: dict[int, Answerable] = {}
    for version, rdtype in FAMILIES:
        addresses = _weighted(selection.members, version)
        if not addresses:
            continue
        if fits(addresses, max_answers=spec.max_answers):
            orders = (RRset(rdtype, spec.ttl, order) for order in rotations(addresses))
            rrsets[rdtype] = Rotation(tuple(orders), turn=turn)
        else:
            line = Line.of(addresses, max_answers=spec.max_answers)
            rrsets[rdtype] = Sampled(rdtype, spec.ttl, line, turn=turn)
    node = merged_node(zones, from_text(spec.owner), rrsets)
    node.fails = selection.tier is Tier.SERVFAIL
    node.changes_at = changes_at
    node.trace = Trace()
    return node


def record_node(node: Node, owner: bytes, zones: Mapping[bytes, Zone], *, ttl: int) -> ZoneNode:
    """Return the overlay node of a per-node name; no drain and no health changes it."""
    rrsets = {}
    for version, rdtype in FAMILIES:
        addresses = node.addresses_of(version)
        if addresses:
            rrsets[rdtype] = RRset(rdtype, ttl, addresses)
    return merged_node(zones, owner, rrsets)


def addresses_of(members: Iterable[Member]) -> dict[int, frozenset[bytes]]:
    """Return the packed addresses of nodes by the type that carries them."""
    everyone = tuple(members)
    return {
        rdtype: frozenset(address for member in everyone for address in _packed(member.node.addresses, version))
        for version, rdtype in FAMILIES
    }


def _weighted(members: Iterable[Member], version: int) -> list[Weighted]:
    """Return each address once; where nodes share one, it has the weight of all of them, and the highest cap."""
    found: dict[bytes, Weighted] = {}
    for member in members:
        for address in _packed(member.node.addresses, version):
            weight, cap = member.node.weight, member.share_cap
            other = found.get(address)
            if other is not None:
                weight, cap = weight + other.weight, max(cap, other.cap)
            found[address] = Weighted(address, weight, cap)
    return list(found.values())


@lru_cache(maxsize=PACKED_KEPT)
def _packed(addresses: tuple[str, ...], version: int) -> tuple[bytes, ...]:
    return tuple(packed for packed in map(_pack, addresses) if len(packed) == _SIZES[version])


def _pack(text: str) -> bytes:
    return ip_address(text).packed
