"""The addresses of nodes as records carry them."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from dnsd.core.constants import AAAA, A

# IP version and the type that carries its addresses.
FAMILIES = ((4, A), (6, AAAA))
_SIZES = {4: 4, 6: 16}  # bytes of an address

# Reading addresses is most of what compiling a pool costs, and they hardly ever change. Unit: (node, family) pairs.
PACKED_KEPT = 262_144


@lru_cache(maxsize=PACKED_KEPT)
def packed(addresses: tuple[str, ...], version: int) -> tuple[bytes, ...]:
    """Return those of a node's addresses that are of IP version 4 or 6, packed, in their order."""
    return tuple(each for each in map(_pack, addresses) if len(each) == _SIZES[version])


def _pack(text: str) -> bytes:
    return ip_address(text).packed
