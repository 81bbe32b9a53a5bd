"""Lays out the image of a large zone; `zoneimage` has its form.

It works from RRsets as they were gathered, and makes no object that stays.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Protocol
from zlib import crc32

from dnsd.core import zonebuild
from dnsd.core.constants import NS
from dnsd.core.zonebuild import Occluders, check_apex, types_of_tree
from dnsd.core.zoneimage import (
    ENTRY,
    FLAG_CUT,
    HEADER,
    MAGIC,
    RDATA_SIZE,
    RRSET,
    SLOT_SIZE,
    VERSION,
    checksum,
)

# Slots per name, at least: with half of them free, the way to a name or to the knowledge that it is not there is short.
SLOTS_PER_NAME = 2

# What a slot can point to. Unit: bytes.
MAX_IMAGE_SIZE = 1 << 32


class TooLarge(ValueError):
    """A zone has no image, for want of numbers that say where its names are."""


class Records(zonebuild.Records, Protocol):
    """The records of one owner and type: an `RRset`, or one in the making."""

    @property
    def ttl(self) -> int:
        """Seconds."""


def build_image(
    apex: bytes, types: Mapping[bytes, frozenset[int]], rrsets: Mapping[tuple[bytes, int], Records]
) -> bytearray:
    """Make the image of a zone, with its empty non-terminals, cuts, and what they hide.

    Args:
        apex: folded name.
        types: of every owner in `rrsets`.
        rrsets: by folded owner and type; one SOA, at the apex.

    Raises:
        ValueError: no SOA of one record at the apex, or an owner outside the zone.
        TooLarge: the image would have more than `MAX_IMAGE_SIZE`.
    """
    check_apex(apex, rrsets)
    tree = types_of_tree(apex, types)
    occluders = Occluders(apex, tree)
    slots = 1 << (SLOTS_PER_NAME * len(tree)).bit_length()
    image = bytearray(HEADER.size + slots * SLOT_SIZE)
    table = array("I", bytes(slots * SLOT_SIZE))
    mask = slots - 1
    records = 0
    for name, there in tree.items():
        index = crc32(name) & mask
        while table[index]:
            index = (index + 1) & mask
        if len(image) >= MAX_IMAGE_SIZE:
            raise TooLarge(f"its image would have more than {MAX_IMAGE_SIZE} bytes")
        table[index] = len(image)
        occluder = occluders.above(name)
        flags = FLAG_CUT if NS in there and name != apex else 0
        parts = [ENTRY.pack(len(name), flags, 0 if occluder is None else len(occluder), len(there)), name]
        # In one order: the same zone makes the same image, by which a reload tells that nothing has changed.
        for rdtype in sorted(there):
            records += _add_rrset(parts, rdtype, rrsets[name, rdtype])
        image += b"".join(parts)
    image[HEADER.size : HEADER.size + slots * SLOT_SIZE] = table.tobytes()
    _write_header(image, slots=slots, names=len(tree), records=records)
    return image


def _add_rrset(parts: list[bytes], rdtype: int, rrset: Records) -> int:
    """Add what stands in an entry for an RRset; return its number of records."""
    rdatas = rrset.rdatas
    parts.append(RRSET.pack(rdtype, rrset.ttl, len(rdatas)))
    for rdata in rdatas:
        parts.append(RDATA_SIZE.pack(len(rdata)))
        parts.append(rdata)
    return len(rdatas)


def _write_header(image: bytearray, *, slots: int, names: int, records: int) -> None:
    check = 0
    for _ in range(2):  # the checksum is over the rest of the header as well
        HEADER.pack_into(image, 0, MAGIC, VERSION, check, len(image), slots, names, records)
        with memoryview(image) as view:
            check = checksum(view)
