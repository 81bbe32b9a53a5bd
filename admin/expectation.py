"""What a client is told that expects something before it sends a body (RFC 9110 §10.1.1); it knows no call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from aiohttp import HttpVersion11, web


async def answer_expectation(
    request: web.Request, *, unknown: Callable[[], web.StreamResponse]
) -> web.StreamResponse | None:
    """Tell a client to go on.

    Args:
        unknown: makes the response to an expectation other than 100-continue.

    Returns:
        The final response; None: the request is to be answered as any other.
    """
    # RFC 9110 §10.1.1: the value's case makes no difference.
    if request.headers["Expect"].lower() != "100-continue":
        return unknown()
    if request.version >= HttpVersion11:  # RFC 9110 §10.1.1: a server MUST ignore it from an HTTP/1.0 client
        with contextlib.suppress(ConnectionError):  # who has gone already is noticed when it is answered
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # of the answer itself, nothing is sent
    return None
