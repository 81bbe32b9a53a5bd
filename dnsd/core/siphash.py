"""SipHash-2-4: a short keyed hash that nobody without the key can make (Aumasson and Bernstein, 2012)."""

from __future__ import annotations

import struct

KEY_SIZE = 16  # bytes

_KEY = struct.Struct("<QQ")
_WORD = struct.Struct("<Q")
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)

# The two numbers in its name: rounds for each word of the message, and rounds at the end.
_ROUNDS = 2
_LAST_ROUNDS = 4

_State = tuple[int, int, int, int]


def siphash(key: bytes, message: bytes) -> bytes:
    """Return the hash of a message.

    Args:
        key: `KEY_SIZE` bytes.

    Returns:
        8 bytes, in the order of the reference implementation.
    """
    low, high = _KEY.unpack(key)
    a, b, c, d = low ^ _START[0], high ^ _START[1], low ^ _START[2], high ^ _START[3]
    # The last word has what is left of the message, and its size in the highest byte.
    padded = message + bytes(-(len(message) + 1) % 8) + bytes((len(message) & 0xFF,))
    for (word,) in _WORD.iter_unpack(padded):
        a, b, c, d = _mix((a, b, c, d ^ word), _ROUNDS)
        a ^= word
    a, b, c, d = _mix((a, b, c ^ 0xFF, d), _LAST_ROUNDS)
    return _WORD.pack(a ^ b ^ c ^ d)


def _mix(state: _State, rounds: int) -> _State:
    a, b, c, d = state
    mask = _MASK
    for _ in range(rounds):
        a = a + b & mask
        c = c + d & mask
        b = (b << 13 | b >> 51) & mask ^ a
        d = (d << 16 | d >> 48) & mask ^ c
        a = (a << 32 | a >> 32) & mask
        c = c + b & mask
        a = a + d & mask
        b = (b << 17 | b >> 47) & mask ^ c
        d = (d << 21 | d >> 43) & mask ^ a
        c = (c << 32 | c >> 32) & mask
    return a, b, c, d
