"""The shell of the remote backend: a unix socket, an HTTP address, or both, over the same methods."""

from __future__ import annotations

import asyncio
import contextlib
import random

from aiohttp import web

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.powerdns.calls import MalformedCall, from_http, no_result, written
from dnsd.adapters.powerdns.methods import Backend
from dnsd.adapters.powerdns.unixsocket import listening
from dnsd.adapters.sending import send_json
from dnsd.adapters.shell import HttpAdapter, read_body
from dnsd.config.settings import PowerDnsSettings

_JSON = "application/json"


class PowerDnsAdapter:
    """Serves PowerDNS.

    Args:
        context: its settings name a socket, an address, or both.
    """

    def __init__(self, context: AdapterContext[PowerDnsSettings]) -> None:
        self._context = context
        plane = context.plane
        self._backend = Backend(
            lambda: plane.publisher.fleet,
            serials=lambda: plane.publisher.serials,
            clock=plane.clock,
            coin=lambda: random.getrandbits(1),
        )
        # Whom PowerDNS names to resolvers, no worker sees.
        plane.publisher.departures.answered_elsewhere(kept_seconds=context.settings.cache_seconds)

    async def run(self) -> None:
        """See `Adapter.run`."""
        settings = self._context.settings
        async with contextlib.AsyncExitStack() as stack:
            if settings.socket is not None:
                await stack.enter_async_context(listening(settings.socket, self._context, self._backend.answer))
                self._context.listening(str(settings.socket))
            if settings.listen is not None:
                # No more than one route, since what is in a path may be a slash or a dot that is part of a name.
                await HttpAdapter(self._context, [("*", "/{call:.*}", self._handle)], error=_error).run()
            await asyncio.Event().wait()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.raw_path == "/" and request.method != "POST":
            raise web.HTTPNotFound
        body = await read_body(request)
        content_type = request.content_type if request.body_exists else ""
        try:
            call = from_http(request.raw_path, request.headers, content_type=content_type, body=body)
            reply = self._backend.answer(call)
        except MalformedCall as error:
            self._context.complaints.say("malformed", str(error))
            return _error(web.HTTPBadRequest.status_code, str(error))
        return await send_json(request, written(reply))


def _error(status: int, text: str) -> web.Response:
    """Return what PowerDNS takes as a failure of the backend, for which it answers SERVFAIL."""
    return web.Response(status=status, body=written(no_result(text)), content_type=_JSON)
