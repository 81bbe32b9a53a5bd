"""DNS over HTTPS (RFC 8484): what a request asks and what its reply says, whichever version of HTTP carries them.

It must not know how requests are framed. Whatever reads them calls `Doh.reply`.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Sequence
from email.utils import formatdate
from typing import NamedTuple
from urllib.parse import parse_qs

from dnsd.core.lifetime import lifetime_seconds
from dnsd.core.via import Via
from dnsd.transports.responder import Responder

MEDIA_TYPE = "application/dns-message"

# What a DNS message may have at most (RFC 8484 §6: "a maximum size of 65535 bytes"). Unit: bytes.
MAX_BODY_BYTES = 65_535

# A request's line and fields together; a query of 4096 bytes takes 5462 of them in base64. Unit: bytes.
MAX_HEAD_BYTES = 16_384

OK, BAD_REQUEST, NOT_FOUND, METHOD_NOT_ALLOWED, CONTENT_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE = 200, 400, 404, 405, 413, 415

REASONS = {
    BAD_REQUEST: "there is no DNS query in it",
    NOT_FOUND: "there is nothing here",
    METHOD_NOT_ALLOWED: "use GET or POST",
    CONTENT_TOO_LARGE: "no DNS message is so large",
    UNSUPPORTED_MEDIA_TYPE: f"send {MEDIA_TYPE}",
}

# RFC 8484 §6: "base64url encoding without padding"; the decoder of the standard library takes more than that.
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")

Fields = Sequence[tuple[str, str]]


class Request(NamedTuple):
    """A whole request.

    Args:
        target: path and query.
        content_type: empty: none was named.
    """

    method: str
    target: str
    content_type: str
    body: bytes


class Reply(NamedTuple):
    """What is said to a request.

    Args:
        fields: without what depends on the version of HTTP.
    """

    status: int
    fields: Fields
    body: bytes


class Doh:
    """Answers the requests of one client.

    Args:
        responder: answers each message.
        path: where queries are taken.
        client: IP address, in text.
    """

    def __init__(self, responder: Responder, *, via: Via, path: str, client: str) -> None:
        self._respond = responder.respond
        self._via = via
        self._path = path
        self._client = client

    def reply(self, request: Request) -> Reply:
        """Answer a request; never raises for what a client has sent."""
        reply = self._reply(request, now=time.time())
        return reply._replace(body=b"") if request.method == "HEAD" else reply  # RFC 9110 §9.3.2

    def _reply(self, request: Request, *, now: float) -> Reply:
        message = self._message_of(request)
        if isinstance(message, int):
            return refusal(message, now=now)
        answer = self._respond(message, now=now, via=self._via, peer=self._client)
        if answer is None:
            return refusal(BAD_REQUEST, now=now)
        fields = (("content-type", MEDIA_TYPE), ("cache-control", f"max-age={lifetime_seconds(answer)}"))
        return _complete(OK, fields, answer, now=now)

    def _message_of(self, request: Request) -> bytes | int:
        """Return the query that is in a request, or the status of its refusal."""
        path, _, query = request.target.partition("?")
        if path != self._path:
            return NOT_FOUND
        if request.method == "GET":
            return _from_base64url(query)
        if request.method != "POST":
            return METHOD_NOT_ALLOWED
        if request.content_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
            return UNSUPPORTED_MEDIA_TYPE
        return request.body if len(request.body) <= MAX_BODY_BYTES else CONTENT_TOO_LARGE


def _from_base64url(query: str) -> bytes | int:
    try:
        (text,) = parse_qs(query, max_num_fields=16)["dns"]
    except (KeyError, ValueError):  # none, or several
        return BAD_REQUEST
    if not _BASE64URL.fullmatch(text):
        return BAD_REQUEST
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return BAD_REQUEST


def refusal(status: int, *, now: float) -> Reply:
    """Return a reply without a DNS message."""
    allow = (("allow", "GET, POST"),) if status == METHOD_NOT_ALLOWED else ()
    body = f"{REASONS[status]}\n".encode()
    return _complete(status, (("content-type", "text/plain; charset=utf-8"), *allow), body, now=now)


def _complete(status: int, fields: Fields, body: bytes, *, now: float) -> Reply:
    # RFC 9110 §6.6.1: a server with a clock "MUST generate a Date header field" in such replies.
    return Reply(status, (("date", formatdate(now, usegmt=True)), *fields, ("content-length", str(len(body)))), body)
