"""Session tokens: a node's name, signed, so that a session finds its node again and the router need not remember it.

A token is `v1.PAYLOAD.SIGNATURE`: base64url without padding of a JSON list, and of its HMAC-SHA256. It is no secret
about the node, and it lets nobody in anywhere: it only says where a session was placed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from dnsd.errors import DnsdError
from dnsd.router.hashing import bytes_of

_VERSION = "v1"

# More than any token has: names of 63 and 128 characters, a kind of 64, all of them ASCII. Unit: characters.
MAX_TOKEN_SIZE = 1024

# As many as the signature has: with fewer, the secret is what is guessed. Unit: bytes.
LEAST_SECRET_SIZE = 32

# Clocks of routers differ; a token from further ahead is none of ours. Unit: seconds.
CLOCK_SKEW_SECONDS = 300.0

_SESSION_ID_SIZE = 12  # random bytes: nobody guesses, and no two are the same
_KEY_DIGEST_SIZE = 12  # bytes: nobody finds another key of one digest in a token's life


class BadToken(DnsdError):
    """A text that is no token of ours."""


class ExpiredToken(DnsdError):
    """A token of ours that is too old to keep a session where it was."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a token says.

    Args:
        kind: as the caller named it, such as `publish` or `play`.
        issued_at: instant, in whole seconds.
        key: `digest_of` the key that it was placed for; empty: it was placed without one.
    """

    node: str
    role: str
    id: str
    kind: str
    issued_at: int
    key: str = ""


def digest_of(key: str | None) -> str:
    """Return what stands for a key in a token: short, whatever the key, and empty where there is none."""
    if key is None:
        return ""
    return _encode(hashlib.blake2b(bytes_of(key), digest_size=_KEY_DIGEST_SIZE, person=b"dnsd-session").digest())


def new_session_id() -> str:
    """Return an id that no other session has."""
    return secrets.token_urlsafe(_SESSION_ID_SIZE)


class Signer:
    """Makes and reads tokens.

    Args:
        keys: of `LEAST_SECRET_SIZE` bytes or more: the first signs, each is believed. To rotate, put a new one first
            on every router, and take the last one away when its tokens are over.
        lifetime_seconds: for which a token is believed.
    """

    def __init__(self, keys: Sequence[bytes], *, lifetime_seconds: float) -> None:
        if not keys or min(map(len, keys)) < LEAST_SECRET_SIZE:
            raise ValueError(f"a secret has at least {LEAST_SECRET_SIZE} bytes")
        self._keys = tuple(keys)
        self._lifetime = lifetime_seconds

    def sign(self, session: Session) -> str:
        """Return the token of a session."""
        words = [session.node, session.role, session.id, session.kind, session.issued_at, session.key]
        payload = _encode(json.dumps(words, separators=(",", ":")).encode())
        return f"{_VERSION}.{payload}.{_encode(_signature(self._keys[0], payload))}"

    def read(self, token: str, *, now: float) -> Session:
        """Return what a token says.

        Raises:
            BadToken: not signed by any of the secrets, or from the future.
            ExpiredToken: it is too old.
        """
        if len(token) > MAX_TOKEN_SIZE or not token.isascii():
            raise BadToken("the token is none of this fleet's")
        version, _, rest = token.partition(".")
        payload, _, signature = rest.partition(".")
        # Compared as text: of the last character, base64 leaves bits unused, and a token has one form only.
        is_signed = [
            hmac.compare_digest(_encode(_signature(key, payload)).encode(), signature.encode()) for key in self._keys
        ]
        if version != _VERSION or not any(is_signed):
            raise BadToken("the token is none of this fleet's: another secret has signed it, or it was changed")
        session = Session(*json.loads(_decode(payload)))
        if session.issued_at > now + CLOCK_SKEW_SECONDS:
            raise BadToken("the token is from the future: a clock is wrong")
        if now - session.issued_at > self._lifetime:
            raise ExpiredToken("the token is too old")
        return session


def _signature(key: bytes, payload: str) -> bytes:
    return hmac.new(key, f"{_VERSION}.{payload}".encode(), hashlib.sha256).digest()


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
