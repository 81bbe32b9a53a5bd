"""What lookups find: RRsets, the nodes of a zone's tree, zones, the overlay of pools, and the snapshot of all.

Everything here is immutable once a snapshot serves it, but for whose turn it is in a pool, and for the overlay as a
whole: its nodes stay as they are, and a delta puts others in their places. It is made in the control process, pickled
to the workers, and read by the engine.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dnsd.core.constants import AAAA, CLASS_IN, A
from dnsd.core.trace import Trace

# A pointer to offset 12, where the question's name stands in every message (RFC 1035 §4.1.4).
QUESTION_POINTER = b"\xc0\x0c"

_FIXED = struct.Struct("!HHIH")  # type, class, TTL, RDLENGTH

ADDRESS_TYPES = frozenset({A, AAAA})


class RRset:
    """The records of one owner and type.

    Args:
        rdtype: type number.
        ttl: seconds.
        rdatas: RDATA of each record, uncompressed.
    """

    __slots__ = ("at_question", "rdatas", "rdtype", "ttl")

    def __init__(self, rdtype: int, ttl: int, rdatas: tuple[bytes, ...]) -> None:
        self.rdtype = rdtype
        self.ttl = ttl
        self.rdatas = rdatas
        # Its records with the question's name as their owner: ready to be put behind a question.
        self.at_question = self.owned_by(QUESTION_POINTER)

    def owned_by(self, owner: bytes) -> bytes:
        """Return its records as they stand in a message, uncompressed but for the owner.

        Args:
            owner: a pointer to where its name stands.
        """
        return b"".join(owner + self.record_tail(rdata) for rdata in self.rdatas)

    def record_tail(self, rdata: bytes) -> bytes:
        """Return what follows the owner in a record: type, class, TTL, length and RDATA, uncompressed."""
        return _FIXED.pack(self.rdtype, CLASS_IN, self.ttl, len(rdata)) + rdata

    @property
    def count(self) -> int:
        """Records in every answer."""
        return len(self.rdatas)

    def pick(self) -> RRset:
        """Return the RRset to answer with: itself."""
        return self

    def several(self, count: int) -> list[RRset]:
        """Return the RRsets of the next answers."""
        return [self] * count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RRset) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"RRset(type={self.rdtype}, ttl={self.ttl}, rdatas={self.rdatas!r})"

    @property
    def _identity(self) -> tuple[int, int, tuple[bytes, ...]]:
        return self.rdtype, self.ttl, self.rdatas

    def __reduce__(self) -> tuple[type[RRset], tuple[int, int, tuple[bytes, ...]]]:
        return RRset, self._identity


class Rotation:
    """An RRset of a pool in several orders; each answer gets the next one.

    Args:
        variants: one or more RRsets of one type.
        turn: which variant comes first.
    """

    __slots__ = ("turn", "variants")

    def __init__(self, variants: tuple[RRset, ...], *, turn: int = 0) -> None:
        self.variants = variants
        self.turn = turn % len(variants)

    @property
    def rdatas(self) -> tuple[bytes, ...]:
        """Every RDATA that an answer may hold."""
        return self.variants[0].rdatas

    @property
    def ttl(self) -> int:
        """Seconds, of every variant."""
        return self.variants[0].ttl

    @property
    def count(self) -> int:
        """Records in every answer."""
        return len(self.rdatas)

    def pick(self) -> RRset:
        """Return the next variant."""
        turn = self.turn
        variant = self.variants[turn]
        self.turn = turn + 1 if turn + 1 < len(self.variants) else 0
        return variant

    def several(self, count: int) -> list[RRset]:
        """Return the variants of the next answers."""
        return [self.pick() for _ in range(count)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rotation) and self.variants == other.variants

    def __hash__(self) -> int:
        return hash(self.variants)

    def __repr__(self) -> str:
        return f"Rotation({len(self.variants)} variants of {self.variants[0]!r})"


class Answerable(Protocol):
    """An `RRset`, or something that gives one for each answer."""

    @property
    def rdatas(self) -> tuple[bytes, ...]:
        """Every RDATA that an answer may hold."""

    @property
    def ttl(self) -> int:
        """Seconds, of every answer that does not count down."""

    @property
    def count(self) -> int | None:
        """Records in every answer, all as long; None: it is not always the same."""

    def pick(self) -> RRset:
        """Return the RRset for one answer."""

    def several(self, count: int) -> list[RRset]:
        """Return those of the next answers, in less time than it takes to pick each of them."""


@dataclass(slots=True, eq=True)
class ZoneNode:
    """What stands at one name. No RRsets: an empty non-terminal (RFC 4592 §2.2.2).

    Args:
        rrsets: by type number.
        cut: it is a delegation: NS below the apex (RFC 1034 §4.2.1).
        occluded_by: the folded name of the cut or DNAME above it that hides it, where there is one.
        fails: a pool that must answer SERVFAIL for questions of its types.
        pooled: of a pool: the types that it is answered with; what it has of others is the zone file's.
        pool_ttl: of a pool: seconds, of its records, also while it has none. None: it is no pool's.
        extended_errors: of a pool: what its answers say besides, as options of an OPT (RFC 8914).
        changes_at: of a pool, by type number: the instant at which its records are due to be others, or to be there
            at all. None: nothing is due.
        trace: of a pool: what became of its answers; no part of what it is.
    """

    rrsets: Mapping[int, Answerable] = field(default_factory=dict)
    cut: bool = False
    occluded_by: bytes | None = None
    fails: bool = False
    pooled: frozenset[int] = ADDRESS_TYPES
    pool_ttl: int | None = None
    extended_errors: bytes = b""
    changes_at: Mapping[int, float] | None = None
    trace: Trace | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone of master-file data, without pools and per-node records.

    Args:
        apex: folded name.
        nodes: by folded name; every name between the apex and a record is there, if empty.
        negative_ttl: seconds; the lesser of the SOA's TTL and its MINIMUM (RFC 2308 §5).
    """

    apex: bytes
    nodes: Mapping[bytes, ZoneNode]
    negative_ttl: int

    @property
    def soa(self) -> RRset:
        """The SOA RRset; every zone has one."""
        return self.nodes[self.apex].rrsets[6].pick()


# Names that the fleet adds over the zones: pools, per-node records, and empty non-terminals above them. A node here
# stands for the whole name: what the zone file has at the same name is merged into it.
Overlay = dict[bytes, ZoneNode]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that an answer is rendered from.

    Args:
        generation: counts what the publisher has handed to the workers.
        revision: the store's revision that it reflects.
        zones: by folded apex.
        overlay: what pools and per-node records add; the snapshot's own, which passes to the one that follows it.
        serials: by folded apex, those that secondaries have zones at, which are shown instead of the zone files'; none
            where there are no transfers. Of a zone that is gone the last one stays, for when it comes back.
    """

    generation: int
    revision: int
    zones: Mapping[bytes, Zone]
    overlay: Overlay
    serials: Mapping[bytes, int] = field(default_factory=dict)

    def advanced(self, delta: Delta) -> Snapshot:
        """Return the next snapshot, at the cost of what changes and not of what there is.

        It takes over this one's overlay and changes that in place: this one is used up, and whoever needs what the
        delta replaces looks before. Nobody may be in the middle of an answer.
        """
        self.overlay.update(delta.put)
        for name in delta.removed:
            self.overlay.pop(name, None)
        zones = self.zones
        if delta.zones or delta.removed_zones:
            kept = {apex: zone for apex, zone in zones.items() if apex not in delta.removed_zones}
            zones = {**kept, **(delta.zones or {})}
        serials = {**self.serials, **delta.serials} if delta.serials else self.serials
        return Snapshot(delta.generation, delta.revision, zones, self.overlay, serials)

    def replaced_by(self, delta: Delta) -> Overlay:
        """Return the nodes of the overlay that a delta replaces or removes."""
        names = (*delta.put, *delta.removed)
        return {name: self.overlay[name] for name in names if name in self.overlay}


@dataclass(frozen=True, slots=True)
class Delta:
    """What one generation changes over the one before.

    Args:
        put: overlay nodes that are new or different.
        removed: names that leave the overlay.
        zones: those that are new or different, by folded apex; None: none is.
        removed_zones: apexes of those that are gone.
        serials: those that zones have from now on, by folded apex.
    """

    generation: int
    revision: int
    put: Overlay = field(default_factory=dict)
    removed: tuple[bytes, ...] = ()
    zones: Mapping[bytes, Zone] | None = None
    removed_zones: tuple[bytes, ...] = ()
    serials: Mapping[bytes, int] = field(default_factory=dict)

    def changed_pools(self, replaced: Overlay) -> tuple[bytes, ...] | None:
        """Return the owners of the pools whose answers are others, where only serials are besides; None: more is.

        Args:
            replaced: the nodes that were there before; see `Snapshot.replaced_by`.
        """
        if self.removed or self.zones or self.removed_zones:
            return None
        for name, node in self.put.items():
            before = replaced.get(name)
            if before is None or before.trace is None or node.trace is None:
                return None
        return tuple(self.put)
