"""The shell of adapters that speak HTTP: who may connect, how much at once, and what is answered to a fault of ours.

It knows no adapter's calls. Connections are bounded and timed as those of the admin interface are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from admin.server import AdminServer
from dnsd.adapters.access import is_allowed
from dnsd.adapters.context import AdapterContext, log

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# A request's body; what other programs ask is short. Unit: bytes.
MAX_BODY_SIZE = 256 * 1024

# Connections of one adapter that are open at once. Unit: connections.
MAX_CONNECTIONS = 256


def plain_error(status: int, text: str) -> web.Response:
    """Return an error as plain text."""
    return web.Response(status=status, text=f"{text}\n")


class HttpAdapter:
    """Serves routes over HTTP.

    Args:
        context: of the adapter; its settings are `AdapterSettings`, and say where to listen.
        routes: method, path in aiohttp's form, handler.
        error: makes an error in the adapter's protocol, from a status and a text.
        max_connections: open at once; a protocol whose clients wait on their connections may need more.
    """

    def __init__(
        self,
        context: AdapterContext[Any],
        routes: Sequence[tuple[str, str, Handler]],
        *,
        error: Callable[[int, str], web.Response] = plain_error,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._context = context
        self._error = error
        self._max_connections = max_connections
        self._app = web.Application(client_max_size=MAX_BODY_SIZE, middlewares=[self._guard])
        for method, path, handler in routes:
            self._app.router.add_route(method, path, handler)

    async def run(self) -> None:
        """See `Adapter.run`."""
        endpoint = self._context.settings.listen
        if endpoint is None:
            raise ValueError("an HTTP adapter needs an address")
        server = AdminServer(self._app, *endpoint, max_connections=self._max_connections, what=self._context.name)
        await server.start()
        try:
            self._context.listening(f"http://{server.endpoint.text}")
            await asyncio.Event().wait()
        finally:
            await server.stop()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        context = self._context
        if not is_allowed(request.remote, context.settings.allow):
            context.count("refused")
            context.complaints.say("refused", f"{request.remote} is not among those who are allowed")
            return self._error(403, "this address is not allowed")
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = self._error(error.status, error.reason)
            response.headers.update({key: value for key, value in error.headers.items() if key == "Allow"})
        except Exception:  # noqa: BLE001 - the last resort; the log has it
            log.exception("%s: a fault of ours at %s", context.name, request.path)
            context.count("failed")
            return self._error(500, "the server failed; its log says how")
        context.count("ok" if response.status < 400 else "malformed" if response.status < 500 else "failed")
        return response
