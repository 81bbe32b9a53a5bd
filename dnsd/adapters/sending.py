"""A response of any length, at the pace of whoever reads it.

A large fleet's list is megabytes, and thousands may be told of a change at once: what one of them has not read yet is
kept once for all, and never in a buffer for each. It knows no protocol but HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from aiohttp import web

from dnsd.adapters.turns import Turns

# What is handed over at once; the connection itself holds about as much again. Unit: bytes.
PIECE_SIZE = 64 * 1024

# Among the responses of one server, for the next piece.
TURNS = web.AppKey("TURNS", Turns)

# How long a client may take to read a response that is longer than that, before it is cut off. Unit: seconds.
SEND_SECONDS = 60.0


async def send_json(
    request: web.Request, *parts: bytes, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Answer a request with JSON.

    Args:
        request: to an application that has its `TURNS`.
        parts: of the JSON.
        headers: besides its type and length.
    """
    size = sum(map(len, parts))
    if size <= PIECE_SIZE:
        return web.Response(body=b"".join(parts), content_type="application/json", headers=headers)
    response = web.StreamResponse(headers={"Content-Type": "application/json", **(headers or {})})
    response.content_length = size
    try:
        # A reader that has gone needs no answer.
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(SEND_SECONDS):
                await response.prepare(request)
                for part in parts:
                    view = memoryview(part)
                    for begin in range(0, len(view), PIECE_SIZE):
                        # A write does not wait while the system takes it, and it takes megabytes.
                        await request.app[TURNS].take()
                        await response.write(view[begin : begin + PIECE_SIZE])
                await response.write_eof()  # waits for the last piece, too
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response
