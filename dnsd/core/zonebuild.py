"""From the RRsets of a zone to its tree: empty non-terminals, cuts, and what lies hidden below them.

The RRsets come validated from the reader of zone files; what is checked again here is what lookups rest on. A tree of
objects is made here, and the image of a large zone in `zoneimage_build`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from dnsd.core.constants import DNAME, NS, SOA
from dnsd.core.names import parent, to_text
from dnsd.core.records import Answerable, RRset, Zone, ZoneNode

_MINIMUM_SIZE = 4  # the last field of an SOA's RDATA (RFC 1035 §3.3.13)
_NO_TYPES: frozenset[int] = frozenset()


class Records(Protocol):
    """The records of one owner and type: an `RRset`, or one in the making."""

    @property
    def rdatas(self) -> Collection[bytes]:
        """RDATA of each record, uncompressed."""


def build_zone(apex: bytes, rrsets: Mapping[tuple[bytes, int], RRset]) -> Zone:
    """Make a zone of its RRsets.

    Args:
        apex: folded name.
        rrsets: by folded owner and type; one SOA, at the apex.

    Raises:
        ValueError: no SOA of one record at the apex, or an owner outside the zone.
    """
    check_apex(apex, rrsets)
    by_name: dict[bytes, dict[int, Answerable]] = {}
    for (owner, rdtype), rrset in rrsets.items():
        by_name.setdefault(owner, {})[rdtype] = rrset
    tree = types_of_tree(apex, {name: frozenset(rrsets_there) for name, rrsets_there in by_name.items()})
    occluders = Occluders(apex, tree)
    nodes = {
        name: ZoneNode(
            rrsets=by_name.get(name, {}), cut=name != apex and NS in types, occluded_by=occluders.above(name)
        )
        for name, types in tree.items()
    }
    return zone_of(apex, nodes)


def zone_of(apex: bytes, nodes: Mapping[bytes, ZoneNode]) -> Zone:
    """Make a zone of the nodes of its tree, which has an SOA at the apex."""
    soa = nodes[apex].rrsets[SOA].pick()
    # RFC 2308 §5: "the minimum of the MINIMUM field of the SOA record and the TTL of the SOA itself".
    return Zone(apex, nodes, min(soa.ttl, int.from_bytes(soa.rdatas[0][-_MINIMUM_SIZE:], "big")))


def check_apex(apex: bytes, rrsets: Mapping[tuple[bytes, int], Records]) -> None:
    """See that there is one SOA record at the apex; `ValueError` where there is not."""
    soa = rrsets.get((apex, SOA))
    if soa is None or len(soa.rdatas) != 1:
        raise ValueError(f"{to_text(apex)} needs one SOA record at its apex")


def types_of_tree(apex: bytes, types: Mapping[bytes, frozenset[int]]) -> dict[bytes, frozenset[int]]:
    """Return the types at each name of a tree: the owners and all names between them and the apex (RFC 4592 §2.2.2).

    Args:
        types: of each owner.

    Raises:
        ValueError: an owner is outside the zone.
    """
    tree: dict[bytes, frozenset[int]] = {apex: types.get(apex, _NO_TYPES)}
    for owner, there in types.items():
        tree[owner] = there
        name = owner
        while name != apex and (name := parent(name)) not in tree:
            if len(name) < len(apex):
                raise ValueError(f"{to_text(owner)} is outside {to_text(apex)}")
            tree[name] = types.get(name, _NO_TYPES)
    return tree


class Occluders:
    """Finds what hides the names of a tree: cuts and DNAMEs above them.

    Args:
        apex: folded name of the zone, whose NS records are no cut.
        tree: the types at each name.
    """

    __slots__ = ("_apex", "_at", "_tree")

    def __init__(self, apex: bytes, tree: Mapping[bytes, frozenset[int]]) -> None:
        self._apex = apex
        self._tree = tree
        # By name, what hides the names right below it: most names of a large zone share their parent.
        self._at: dict[bytes, bytes | None] = {apex: apex if DNAME in tree[apex] else None}

    def above(self, name: bytes) -> bytes | None:
        """Return the highest name above this one, within the zone, that is a cut or owns a DNAME."""
        if name == self._apex:
            return None
        above = parent(name)
        if above in self._at:
            return self._at[above]
        types = self._tree[above]
        occluder = self.above(above) or (above if DNAME in types or NS in types else None)
        self._at[above] = occluder
        return occluder
