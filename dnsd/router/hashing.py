"""The numbers that a key draws: the same on every machine, in every process and after every restart.

BLAKE2b is what they come from; Python's own `hash` differs from process to process. It owns no state.
"""

from __future__ import annotations

import struct
from hashlib import blake2b

# Draws in one digest, 64 bytes of BLAKE2b in parts of 32 bits. Unit: draws.
DRAWS = 16

# A draw is 0 to below this.
DRAW_RANGE = 2**32

# Of a node's place in the tree: too long for two ids to share one. Unit: bits.
PLACE_BITS = 128

_unpack = struct.Struct(">16I").unpack
_NOT_TEXT = "surrogatepass"  # any Python text can be a key


def place_of(node: str) -> int:
    """Return where a node stands in the trees of all its roles, below 2**`PLACE_BITS`."""
    return int.from_bytes(blake2b(node.encode(), digest_size=PLACE_BITS // 8, person=b"dnsd-place").digest(), "big")


def salt_of(attempt: int, block: int = 0) -> bytes:
    """Return what makes a key's attempts, and the blocks of one attempt, draw differently."""
    return struct.pack(">II", attempt, block)


def person_of(role: str) -> bytes:
    """Return what makes a key draw differently in each role."""
    return blake2b(role.encode(), digest_size=16, person=b"dnsd-role").digest()


def draws(key: bytes, person: bytes, salt: bytes) -> tuple[int, ...]:
    """Return the `DRAWS` numbers that a key draws, each below `DRAW_RANGE`."""
    return _unpack(blake2b(key, digest_size=64, person=person, salt=salt).digest())


def bytes_of(key: str) -> bytes:
    """Return a key as it is hashed."""
    return key.encode("utf-8", _NOT_TEXT)


def uniform(key: bytes, person: bytes, node: str) -> float:
    """Return what a key draws for one node alone, above 0 to 1."""
    digest = blake2b(node.encode() + b"\0" + key, digest_size=8, person=person, salt=b"dnsd-own").digest()
    return ((int.from_bytes(digest, "big") >> 11) + 1) / 2**53
