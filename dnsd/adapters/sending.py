"""A response of any length, at the pace of whoever reads it.

A large fleet's list is megabytes, and thousands may be told of a change at once: what one of them has not read yet is
kept once for all, and never in a buffer for each. It knows no protocol but HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from aiohttp import web

# What is handed over at once; the connection itself holds about as much again. Unit: bytes.
PIECE_SIZE = 64 * 1024

# How long a client may take to read a response that is longer than that, before it is cut off. Unit: seconds.
SEND_SECONDS = 60.0


async def send_json(
    request: web.Request, body: bytes, *, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Answer a request with JSON.

    Args:
        body: the JSON.
        headers: besides its type and length.
    """
    if len(body) <= PIECE_SIZE:
        return web.Response(body=body, content_type="application/json", headers=headers)
    response = web.StreamResponse(headers={"Content-Type": "application/json", **(headers or {})})
    response.content_length = len(body)
    view = memoryview(body)
    try:
        # A reader that has gone needs no answer.
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(SEND_SECONDS):
                await response.prepare(request)
                for begin in range(0, len(body), PIECE_SIZE):
                    await response.write(view[begin : begin + PIECE_SIZE])
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response
