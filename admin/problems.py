"""Errors as HTTP: which status, title and stable id each one has, and the problem+json that says so (RFC 9457).

The one place that maps an error of dnsd to a status. It knows nothing of routes. Other protocols tell of the same
problems in their own form.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aiohttp import web

from admin.backend import Backend
from dnsd.api.schemas import FieldError, Impact, ProblemDetail
from dnsd.errors import (
    CapacityFloor,
    ConsumerConflict,
    InvalidRequest,
    NodeConflict,
    NotAllowed,
    RequestError,
    RevisionConflict,
    RevisionMoved,
    StoreUnavailable,
    TooManyConsumers,
    UnknownNode,
    UnknownPool,
)

log = logging.getLogger("dnsd.admin")

PROBLEM_MEDIA_TYPE = "application/problem+json"

# Sent with every answer. Nothing here may be framed, guessed at, kept in a cache or told to other sites.
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "dnsd",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# When a client may ask again while the store is down. Unit: seconds.
RETRY_AFTER_SECONDS = 2

# Of what is said about a request that is no HTTP, which may quote it. Unit: characters.
MAX_REASON_SIZE = 200


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of problem: its stable id, its status and the title that people read."""

    id: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """The URI reference that identifies it (RFC 9457 §3.1.1)."""
        return f"/problems/{self.id}"


INVALID_REQUEST = Kind(InvalidRequest.id, 400, "The request makes no sense")
MALFORMED_REQUEST = Kind("malformed-request", 400, "The request is not HTTP as it should be")
MALFORMED_BODY = Kind("malformed-body", 400, "The body cannot be read")
MALFORMED_TARGET = Kind("malformed-target", 400, "The request target cannot be read")
UNAUTHENTICATED = Kind("unauthenticated", 401, "A valid token is needed")
NOT_ALLOWED = Kind(NotAllowed.id, 403, "The token's scope does not cover this")
NOT_LOCAL = Kind("not-local", 403, "Without tokens, only local requests are served")
NOT_FOUND = Kind("not-found", 404, "Nothing is here")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "The method is not supported here")
BODY_TIMEOUT = Kind("body-timeout", 408, "The body did not arrive in time")
TOO_LARGE = Kind("too-large", 413, "The body is too large")
UNSUPPORTED_MEDIA_TYPE = Kind("unsupported-media-type", 415, "The body is not JSON")
EXPECTATION_FAILED = Kind("expectation-failed", 417, "The expectation is not known")
INTERNAL_ERROR = Kind("internal-error", 500, "The server failed")
TOO_MANY_STREAMS = Kind("too-many-streams", 503, "Too many event streams are open")
STORE_UNAVAILABLE = Kind("store-unavailable", 503, "The store is not available")

KIND_OF: Mapping[type[Exception], Kind] = {
    InvalidRequest: INVALID_REQUEST,
    NotAllowed: NOT_ALLOWED,
    UnknownNode: Kind(UnknownNode.id, 404, "There is no such node"),
    UnknownPool: Kind(UnknownPool.id, 404, "There is no such pool"),
    NodeConflict: Kind(NodeConflict.id, 409, "The node belongs to something else"),
    ConsumerConflict: Kind(ConsumerConflict.id, 409, "The id belongs to something else"),
    TooManyConsumers: Kind(TooManyConsumers.id, 429, "Too many consumers are known"),
    CapacityFloor: Kind(CapacityFloor.id, 409, "A pool would fall below its floor"),
    RevisionConflict: Kind("revision-conflict", 409, "Somebody else changed the state at the same time"),
    RevisionMoved: Kind(RevisionMoved.id, 412, "The revision has moved"),
    StoreUnavailable: STORE_UNAVAILABLE,
}


class Told(NamedTuple):
    """What a client is told of an error: the problem, and the header fields that HTTP sends with it."""

    problem: ProblemDetail
    headers: Mapping[str, str]


class Fault(Exception):
    """A request that the HTTP interface itself turns down.

    Args:
        kind: what sort of problem.
        detail: one sentence in plain words.
        errors: every field at fault.
        headers: to send along.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


def invalid(errors: Sequence[FieldError]) -> Fault:
    """Return the fault of a request with one or more wrong values."""
    return Fault(INVALID_REQUEST, "; ".join(f"{error.field}: {error.message}" for error in errors), errors=errors)


def malformed_request(reason: str) -> web.Response:
    """Return the response to what could not be read as HTTP; it passes no middleware, so it has all its headers.

    Args:
        reason: what the reader of HTTP said; its first line is told.
    """
    first = (reason.splitlines() or [""])[0].rstrip(".: ")[:MAX_REASON_SIZE]
    detail = "It cannot be read" + (f": {first}." if first else ".")
    return _response(_told(MALFORMED_REQUEST, detail, headers=SECURITY_HEADERS))


def unknown_expectation() -> web.Response:
    """Return the response to an Expect header that this server does not know (RFC 9110 §10.1.1)."""
    return _response(_told(EXPECTATION_FAILED, "Only 100-continue is known.", headers=SECURITY_HEADERS))


def problem_response(error: Exception, backend: Backend) -> web.Response:
    """Return the response that tells of an error; one that is not expected is logged and not told."""
    return _response(problem_of(error, backend))


def problem_of(error: Exception, backend: Backend) -> Told:
    """Return what is told of an error, in whatever protocol; one that is not expected is logged and not told."""
    if isinstance(error, Fault):
        return _told(error.kind, error.detail, errors=error.errors, headers=error.headers)
    if isinstance(error, web.HTTPException):
        return _of_http(error)
    kind = next((KIND_OF[each] for each in type(error).__mro__ if each in KIND_OF), None)
    if kind is None:
        log.error("a request failed", exc_info=error)
        return _told(INTERNAL_ERROR, "The server's log says why.")
    if isinstance(error, RequestError):
        return _of_request(kind, error, backend)
    if kind is STORE_UNAVAILABLE:
        log.debug("a request met an unavailable store: %s", error)  # the outage itself is logged where it is noted
        return _told(kind, str(error) or kind.title, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    return _told(kind, str(error), revision=backend.revision)


def _of_request(kind: Kind, error: RequestError, backend: Backend) -> Told:
    errors = [FieldError(field=error.field, message=error.detail)] if error.field else []
    impact = [Impact.model_validate(item) for item in error.impact] if isinstance(error, CapacityFloor) else None
    revision = backend.revision if isinstance(error, RevisionMoved) else None
    return _told(kind, error.detail, errors=errors, impact=impact, revision=revision)


def _of_http(error: web.HTTPException) -> Told:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return _told(METHOD_NOT_ALLOWED, f"Here only: {allowed}.", headers={"Allow": allowed})
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return _told(TOO_LARGE, "The body is larger than the server takes.")
    if isinstance(error, web.HTTPNotFound):
        return _told(NOT_FOUND, "No call has this path; /openapi.json lists them.")
    return _told(Kind(f"http-{error.status}", error.status, error.reason), error.reason)


def _told(
    kind: Kind,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    impact: list[Impact] | None = None,
    revision: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Told:
    problem = ProblemDetail(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=_clean(detail),
        id=kind.id,
        field=_clean(errors[0].field) if errors else None,
        errors=[FieldError(field=_clean(error.field), message=_clean(error.message)) for error in errors] or None,
        impact=impact,
        revision=revision,
    )
    return Told(problem, headers or {})


def _response(told: Told) -> web.Response:
    body = json.dumps(told.problem.model_dump(mode="json", exclude_none=True)).encode()
    return web.Response(
        body=body, status=told.problem.status, content_type=PROBLEM_MEDIA_TYPE, headers=told.headers or None
    )


def _clean(text: str) -> str:
    # What a client sent may be quoted in it, with surrogates that JSON cannot carry.
    return text.encode("utf-8", "replace").decode("utf-8")
