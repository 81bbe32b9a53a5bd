"""Who calls, and whether that caller may: bearer tokens, scopes, and the guard of a server without tokens.

It knows the access that a route asks for, and not the routes.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from admin.problems import NOT_ALLOWED, NOT_LOCAL, UNAUTHENTICATED, Fault
from dnsd.config.settings import Scope, Token
from dnsd.control.actor import Actor

LOCAL_OPERATOR = Actor("local", Scope.OPERATOR)
ANYONE = Actor("anyone", Scope.VIEWER)

# Hosts and origins of which it is remembered whether they are loopback addresses. Unit: texts.
HOSTS_KEPT = 256

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 §9.2.1


class Access(enum.Enum):
    """What a route asks of its caller. An agent is only ever let in to its own node, a router to its own word."""

    OPEN = "open"  # no token
    READ = "read"  # viewer, operator, router
    READ_NODE = "read-node"  # viewer, operator, router, the node's agent
    WRITE_NODE = "write-node"  # operator, the node's agent
    WRITE_CONSUMER = "write-consumer"  # operator, the router itself
    WRITE = "write"  # operator

    @property
    def scopes(self) -> frozenset[Scope]:
        """The scopes that it lets in."""
        return _SCOPES[self]


_SCOPES = {
    Access.OPEN: frozenset(Scope),
    Access.READ: frozenset({Scope.VIEWER, Scope.OPERATOR, Scope.ROUTER}),
    Access.READ_NODE: frozenset(Scope),
    Access.WRITE_NODE: frozenset({Scope.OPERATOR, Scope.AGENT}),
    Access.WRITE_CONSUMER: frozenset({Scope.OPERATOR, Scope.ROUTER}),
    Access.WRITE: frozenset({Scope.OPERATOR}),
}


class Gate:
    """Tells callers apart by their bearer tokens.

    Args:
        tokens: gives those of now, since a reload may bring others. None at all: everybody is the operator `local`,
            and `check_local` keeps other web pages out.
    """

    def __init__(self, tokens: Callable[[], tuple[Token, ...]]) -> None:
        self._read_tokens = tokens
        self._indexed: tuple[Token, ...] | None = None
        self._by_digest: dict[str, Token] = {}

    @property
    def _tokens(self) -> tuple[Token, ...]:
        return self._read_tokens()

    def admit(self, authorizations: Sequence[str], access: Access, *, node: str | None) -> Actor:
        """Return who calls.

        Args:
            authorizations: the values of the Authorization headers.
            access: what the route asks.
            node: the node that the path names, None where it names none; with `WRITE_CONSUMER`, the consumer.

        Raises:
            Fault: 401 without a known token, 403 where its scope does not cover the route.
        """
        if access is Access.OPEN:
            return ANYONE
        actor = self._actor_of(authorizations) if self._tokens else LOCAL_OPERATOR
        if actor.scope not in access.scopes:
            raise Fault(NOT_ALLOWED, f"The token of {actor.name} has the scope {actor.scope.value}.")
        if actor.scope is Scope.AGENT and not _same_node(actor.node, node):
            raise Fault(NOT_ALLOWED, f"The token of {actor.name} speaks for the node {actor.node} alone.")
        if access is Access.WRITE_CONSUMER and actor.consumer not in (None, node):
            raise Fault(NOT_ALLOWED, f"The token of {actor.name} speaks for the consumer {actor.consumer} alone.")
        return actor

    def check_local(self, request: web.Request) -> None:
        """Without tokens, refuse what a web page elsewhere may have sent, also by rebinding its own name's address.

        Raises:
            Fault: 403.
        """
        if self._tokens:
            return
        for host in request.headers.getall("Host", []):
            self.check_host(host)
        # The form that clients of a proxy send: HTTP has its host count, whatever the Host header says.
        target = request.raw_path
        if not target.startswith("/") and target != "*" and not _is_loopback(f"//{_authority_of(target)}"):
            raise Fault(NOT_LOCAL, "The request target names no loopback address; set tokens to serve others.")
        for origin in request.headers.getall("Origin", []):
            if origin == "null" and request.method in SAFE_METHODS:
                continue
            if not _is_loopback(origin):
                raise Fault(NOT_LOCAL, "The Origin header names no loopback address; set tokens to serve others.")

    def check_host(self, host: str) -> None:
        """Without tokens, refuse a Host header that names no loopback address.

        Raises:
            Fault: 403.
        """
        if not self._tokens and not _is_loopback(f"//{host}"):
            raise Fault(NOT_LOCAL, "The Host header names no loopback address; set tokens to serve others.")

    def _actor_of(self, values: Sequence[str]) -> Actor:
        # RFC 6750 §3: a challenge names an error only where a token was presented.
        if not values:
            raise Fault(UNAUTHENTICATED, "Send Authorization: Bearer <token>.", headers={"WWW-Authenticate": "Bearer"})
        scheme, _, secret = values[0].partition(" ")
        if len(values) == 1 and scheme.lower() == "bearer":
            digest = hashlib.sha256(secret.strip().encode("utf-8", "surrogateescape")).hexdigest()
            found = self._token_of(digest)
            if found is not None:
                return Actor(found.name, found.scope, found.node, found.consumer)
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise Fault(UNAUTHENTICATED, "The token is not known here.", headers=challenge)

    def _token_of(self, digest: str) -> Token | None:
        tokens = self._tokens
        if tokens is not self._indexed:
            self._indexed, self._by_digest = tokens, {token.sha256: token for token in reversed(tokens)}
        # A fleet has a token for each agent: not every one is looked at. What the time of a look-up tells is about
        # digests, and nobody can make a secret of a digest that he has come near.
        found = self._by_digest.get(digest)
        return found if found is not None and hmac.compare_digest(found.sha256, digest) else None


def _same_node(own: str | None, asked: str | None) -> bool:
    return own is not None and asked is not None and own.lower() == asked.lower()


def _authority_of(target: str) -> str:
    try:
        return urlsplit(target).netloc
    except ValueError:
        return ""


@lru_cache(maxsize=HOSTS_KEPT)
def _is_loopback(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port  # raises where it is no number
        if host is None or parts.username is not None or parts.path or parts.query or parts.fragment:
            return False
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
