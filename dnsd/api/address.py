"""Where a server is and who asks: a URL and a bearer token, checked before anything is sent."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

# What `dnsd serve` listens on with the example configuration.
DEFAULT_SERVER = "http://127.0.0.1:8053"

# RFC 6750 §2.1: b64token. Anything else could not stand in the header, or would end it.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")

# A host with or without a port and a path, as people write it. What has `:/` behind its first word names a scheme.
_WITHOUT_SCHEME = re.compile(r"(?:\[[^\]]*\]|[^:/?#@\[\]\s]+)(?::[0-9]+)?(?:/.*)?")


def checked_server(text: str) -> str:
    """Return a server's URL without its final slash; without a scheme, it is taken as http.

    Raises:
        ValueError: not an http or https URL, or one with more than scheme, host, port and path.
    """
    given = text
    if _WITHOUT_SCHEME.fullmatch(text):
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{given!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"{given!r} is not a URL such as {DEFAULT_SERVER}")
    if parts.username is not None or parts.query or parts.fragment or re.search(r"[\s\x00-\x1f\x7f]", text):
        raise ValueError(
            f"{given!r} has more than scheme, host, port and path; a token goes into --token or DNSD_TOKEN"
        )
    return text.rstrip("/")


def checked_token(text: str) -> str:
    """Return a bearer token as it is.

    Raises:
        ValueError: it cannot stand in a header; the message does not repeat it.
    """
    if not _TOKEN.fullmatch(text):
        raise ValueError("the token has characters that no bearer token has (RFC 6750 §2.1)")
    return text


def path_of(*segments: str) -> str:
    """Join segments to a path below `/v1`, each percent-encoded whole.

    Raises:
        ValueError: a segment is empty, `.` or `..`: it would name another resource (RFC 3986 §5.2.4).
    """
    if not all(segments) or {".", ".."} & set(segments):
        raise ValueError(f"{'/'.join(segments)!r} cannot stand in a path")
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)
