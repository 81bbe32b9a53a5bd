"""Server cookies that every server with the same secret takes for its own (RFC 7873, RFC 9018).

    client's half (8)  version 1 (1)  reserved (3)  time (4)  hash (8)        bytes

It knows the inside of a COOKIE option, and nothing of messages or of what a cookie is good for.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from dnsd.core.exchange import Cookie
from dnsd.core.siphash import KEY_SIZE, siphash

# RFC 9018 §4.4: the secret is the key of the hash. Unit: bytes.
SECRET_SIZE = KEY_SIZE

# Sizes of the option. Unit: bytes. RFC 7873 §4: the client's half has 8, the server's, where it is there, 8 to 32.
CLIENT_SIZE = 8
LEAST_SIZE, MOST_SIZE = CLIENT_SIZE + 8, CLIENT_SIZE + 32

# What a server's half made by RFC 9018 §4 has, with the client's. Unit: bytes.
WHOLE_SIZE = 24

# How old a cookie may be, how far ahead of our clock, and from which age on a new one is made (RFC 9018 §4.3). Unit:
# seconds.
MOST_AGE = 3600
MOST_AHEAD = 300
RENEWED_FROM_AGE = 1800

# Cookies, and addresses, whose check is remembered: a hash takes 10 to 14 µs, and a resolver sends the same cookie for
# half an hour. An entry has about 0.3 KiB. Unit: entries; there are up to twice as many.
REMEMBERED = 8192

_VERSION_1 = b"\x01\x00\x00\x00"  # with the reserved bytes: "On construction, [it] MUST be set to zero" (RFC 9018 §4.2)
_TIME = struct.Struct("!I")
_SERIALS, _HALF_OF_SERIALS = 1 << 32, 1 << 31


class CookieJar:
    """Makes and judges cookies.

    Args:
        secrets: `SECRET_SIZE` bytes each, one or more; the first makes cookies, those of all are accepted.
    """

    __slots__ = ("_before", "_known", "_secrets")

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = tuple(secrets)
        # A genuine cookie and its client's address → which secret it is of. Made-up ones are not remembered, so that
        # nobody without a cookie of ours can fill it; when it is full, the generation before is forgotten.
        self._known: dict[tuple[bytes, str], int] = {}
        self._before: dict[tuple[bytes, str], int] = {}

    def judge(self, option: bytes, *, peer: str, now: float) -> tuple[Cookie, bytes]:
        """Say what a COOKIE option is worth, and what to answer with.

        Args:
            option: its data, of a size that `is_well_formed`.
            peer: IP address of the client, in text; empty: unknown.
            now: instant.

        Returns:
            Its worth, never NONE, and the data of the response's option.
        """
        seconds = int(now) % _SERIALS
        worth = Cookie.CLIENT
        if len(option) > CLIENT_SIZE:
            secret = self._secret_of(option, peer, seconds)
            worth = Cookie.BAD if secret is None else Cookie.VALID
            # One that another server has made with the reserved bytes set is genuine, but nothing that we would make.
            ours = secret == 0 and option.startswith(_VERSION_1, CLIENT_SIZE)
            if ours and _age(option, seconds) < RENEWED_FROM_AGE:
                return worth, option
        return worth, self._bake(option[:CLIENT_SIZE], peer, seconds)

    def _bake(self, client: bytes, peer: str, seconds: int) -> bytes:
        unsigned = client + _VERSION_1 + _TIME.pack(seconds)
        return unsigned + siphash(self._secrets[0], unsigned + _packed(peer))

    def _secret_of(self, option: bytes, peer: str, seconds: int) -> int | None:
        """Return which secret a cookie is of; None where it is not accepted."""
        if len(option) != WHOLE_SIZE or option[CLIENT_SIZE] != 1:
            return None
        if not -MOST_AHEAD <= _age(option, seconds) <= MOST_AGE:
            return None
        key = option, peer
        secret = self._known.get(key)
        if secret is None:
            secret = self._before.get(key)
            if secret is None:
                secret = self._find_secret(option, peer)
            if secret is not None:
                self._remember(key, secret)
        return secret

    def _find_secret(self, option: bytes, peer: str) -> int | None:
        # RFC 9018 §4.2: "the server MUST NOT enforce those fields to be zero, and the hash should be computed with the
        # received value".
        signed, hashed = option[:16] + _packed(peer), option[16:]
        for number, secret in enumerate(self._secrets):
            if hmac.compare_digest(siphash(secret, signed), hashed):
                return number
        return None

    def _remember(self, key: tuple[bytes, str], secret: int) -> None:
        if len(self._known) >= REMEMBERED:
            self._before = self._known
            self._known = {}
        self._known[key] = secret


def is_well_formed(option: bytes) -> bool:
    """Say whether a COOKIE option has a size that one may have (RFC 7873 §5.2.2)."""
    return len(option) == CLIENT_SIZE or LEAST_SIZE <= len(option) <= MOST_SIZE


def _age(option: bytes, seconds: int) -> int:
    """Return a cookie's age; below 0: it is of the future.

    RFC 9018 §4.3: "All comparisons involving these fields MUST use 'Serial number arithmetic'" (RFC 1982).
    """
    (made,) = _TIME.unpack_from(option, 12)
    return (seconds - int(made) + _HALF_OF_SERIALS) % _SERIALS - _HALF_OF_SERIALS


@lru_cache(maxsize=REMEMBERED)
def _packed(peer: str) -> bytes:
    """Return an address as it is hashed: 4 or 16 bytes, an IPv4 address always in its own form (RFC 9018 §4.4)."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:  # unknown: a cookie is then good for whoever is as unknown
        return peer.encode()
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.packed
    return address.packed
