"""A large zone as one read-only run of bytes, which every process maps: no Python object per name.

Owns the form of the image, and how a name is found in it; `zoneimage_build` makes it. It must not know how the bytes
come into a process.

    header   magic, version, checksum of what follows it, size, numbers of slots, names and records
    slots    uint32 each, a power of two and at least twice as many as names: where an entry begins; 0: free
    entries  of a name each: sizes of name and occluder, flags, number of RRsets, name, RRsets
    RRset    type, TTL, number of records, and for each the size of its RDATA and the RDATA

A name's slot is the CRC-32 of the folded name, and the next ones until a free one. An occluder is an ancestor of what
it hides, so that its size says which. Numbers of header and slots are in the machine's own order: no image leaves it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final
from zlib import crc32

from dnsd.core.records import Answerable, RRset, Zone, ZoneNode
from dnsd.sharedbytes import SharedBytes

MAGIC: Final = b"dnsdzone"
VERSION: Final = 1

HEADER: Final = struct.Struct("=8sIIQIIQ")
CHECKED_FROM: Final = 16  # where the checksum begins: behind itself
SLOT_SIZE: Final = 4
ENTRY: Final = struct.Struct("!BBBxH")  # size of name, flags, size of occluder (0: none), number of RRsets
RRSET: Final = struct.Struct("!HII")  # type, TTL, number of records
RDATA_SIZE: Final = struct.Struct("!H")

FLAG_CUT: Final = 1

# Nodes that have been asked for and are kept as objects, all let go at once when there are so many: with an RRset or
# two each they take about 1 kB. Unit: nodes of a zone, in each process.
MAX_KEPT_NODES: Final = 8192

# Images are compared by so much at a time: whole, they would be copied, and views compare byte by byte, ten times as
# slowly and without a chance for any other thread. Unit: bytes.
COMPARED_SIZE: Final = 1 << 16


class DamagedImage(ValueError):
    """It is no image of a zone, or not the one that was written."""


class ZoneImage(Mapping[bytes, ZoneNode]):
    """The nodes of a zone by folded name, made from an image as they are asked for.

    Args:
        memory: the image.
        verify: go through all of it for its checksum; else only the header is looked at.

    Attributes:
        records: how many there are.

    Raises:
        DamagedImage: what is looked at is not as it should be.
    """

    __slots__ = ("_count", "_kept", "_mask", "_memory", "_slots", "_view", "records")

    def __init__(self, memory: SharedBytes, *, verify: bool = False) -> None:
        view = self._view = memory.view
        self._memory = memory
        slots, self._count, self.records = _checked_header(view, verify=verify)
        self._mask = slots - 1
        self._slots = view[HEADER.size : HEADER.size + slots * SLOT_SIZE].cast("I")
        self._kept: dict[bytes, ZoneNode] = {}

    def get(self, name: bytes, default: Any = None, /) -> Any:
        """Return the node of a folded name, or the default."""
        node = self._kept.get(name)
        if node is not None:
            return node
        index = crc32(name) & self._mask
        # Most names that are not there end here.
        if not self._slots[index]:
            return default
        offset = self._find(name, index)
        return self._keep(name, offset) if offset else default

    def __getitem__(self, name: bytes) -> ZoneNode:
        node: ZoneNode | None = self.get(name)
        if node is None:
            raise KeyError(name)
        return node

    def __contains__(self, name: object) -> bool:
        return isinstance(name, bytes) and (name in self._kept or self._find(name, crc32(name) & self._mask) != 0)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        """Yield the names in the order in which the image was made."""
        view = self._view
        for offset in sorted(filter(None, self._slots)):
            start = offset + ENTRY.size
            yield bytes(view[start : start + view[offset]])

    def entries(self) -> Iterator[tuple[bytes, list[tuple[int, int, list[bytes]]]]]:
        """Yield every name with its RRsets (type, TTL, RDATA of each record), in the order of the image.

        No node is made or kept: it is for whoever goes through all of them.
        """
        view = self._view
        position, end = HEADER.size + len(self._slots) * SLOT_SIZE, len(view)
        while position < end:
            size, _, _, count = ENTRY.unpack_from(view, position)
            start = position + ENTRY.size
            rrsets, position = self._rrsets_at(start + size, count)
            yield bytes(view[start : start + size]), rrsets

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ZoneImage):
            return self._memory is other._memory or _same(self._view, other._view)
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as of every mapping

    def __reduce__(self) -> tuple[type[ZoneImage], tuple[SharedBytes]]:
        return ZoneImage, (self._memory,)

    def _find(self, name: bytes, index: int) -> int:
        """Return where the entry of a name begins, or 0.

        Args:
            index: the name's own slot.
        """
        slots, view, mask, size = self._slots, self._view, self._mask, len(name)
        while offset := slots[index]:
            start = offset + ENTRY.size
            if view[offset] == size and view[start : start + size] == name:
                return offset
            index = (index + 1) & mask
        return 0

    def _keep(self, name: bytes, offset: int) -> ZoneNode:
        node = self._node_at(name, offset)
        if len(self._kept) >= MAX_KEPT_NODES:
            self._kept.clear()
        self._kept[name] = node
        return node

    def _node_at(self, name: bytes, offset: int) -> ZoneNode:
        size, flags, occluder, count = ENTRY.unpack_from(self._view, offset)
        found, _ = self._rrsets_at(offset + ENTRY.size + size, count)
        rrsets: dict[int, Answerable] = {rdtype: RRset(rdtype, ttl, tuple(rdatas)) for rdtype, ttl, rdatas in found}
        return ZoneNode(
            rrsets=rrsets, cut=bool(flags & FLAG_CUT), occluded_by=name[size - occluder :] if occluder else None
        )

    def _rrsets_at(self, position: int, count: int) -> tuple[list[tuple[int, int, list[bytes]]], int]:
        """Return so many RRsets (type, TTL, RDATA of each record) from a position on, and the position behind them."""
        view = self._view
        rrsets: list[tuple[int, int, list[bytes]]] = []
        for _ in range(count):
            rdtype, ttl, records = RRSET.unpack_from(view, position)
            position += RRSET.size
            rdatas = []
            for _ in range(records):
                start = position + RDATA_SIZE.size
                position = start + RDATA_SIZE.unpack_from(view, position)[0]
                rdatas.append(bytes(view[start:position]))
            rrsets.append((rdtype, ttl, rdatas))
        return rrsets, position


def count_records(zone: Zone) -> int:
    """Return the number of a zone's records."""
    if isinstance(zone.nodes, ZoneImage):
        return zone.nodes.records
    return sum(len(rrset.pick().rdatas) for node in zone.nodes.values() for rrset in node.rrsets.values())


def _same(one: memoryview, other: memoryview) -> bool:
    """Say whether two images are equal; of those that are not, nearly all differ in their headers."""
    if len(one) != len(other):
        return False
    return all(
        one[start : start + COMPARED_SIZE].tobytes() == other[start : start + COMPARED_SIZE].tobytes()
        for start in range(0, len(one), COMPARED_SIZE)
    )


def checksum(view: memoryview) -> int:
    """Return the CRC-32 of an image, less what stands before and in its own place."""
    return crc32(view[CHECKED_FROM:])


def _checked_header(view: memoryview, *, verify: bool) -> tuple[int, int, int]:
    """Return the numbers of slots, names and records."""
    if len(view) < HEADER.size:
        raise DamagedImage("an image of a zone has no header")
    magic, version, check, size, slots, count, records = HEADER.unpack_from(view)
    if magic != MAGIC or version != VERSION:
        raise DamagedImage("it is no image of a zone, or one of another version")
    # A free slot must be there, or a search would never end; a mask must be one.
    if size != len(view) or slots & (slots - 1) or slots <= count or HEADER.size + slots * SLOT_SIZE > size:
        raise DamagedImage("an image of a zone has other sizes than it says")
    if verify and check != checksum(view):
        raise DamagedImage("an image of a zone has other bytes than were written")
    return slots, count, records
