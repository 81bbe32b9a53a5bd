"""The shell of adapters that speak HTTP: who may connect, how much at once, and what is answered to a fault of ours.

It knows no adapter's calls. Connections are bounded and timed as those of the admin interface are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from admin.expectation import answer_expectation
from admin.server import AdminServer
from dnsd.adapters.access import is_allowed
from dnsd.adapters.context import AdapterContext, log
from dnsd.adapters.sending import TURNS
from dnsd.adapters.turns import Turns

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# A request's body; what other programs ask is short. Unit: bytes.
MAX_BODY_SIZE = 256 * 1024

# For a request's body to come; programs send it at once. Unit: seconds.
BODY_SECONDS = 10.0

# Connections of one adapter that are open at once. Unit: connections.
MAX_CONNECTIONS = 256


def plain_error(status: int, text: str) -> web.Response:
    """Return an error as plain text."""
    return web.Response(status=status, text=f"{text}\n")


async def read_body(request: web.Request, *, within_seconds: float = BODY_SECONDS) -> bytes:
    """Return a request's body.

    Raises:
        HTTPClientError: it is too large, its coding is broken, or it has not come, whole, in time.
    """
    try:
        async with asyncio.timeout(within_seconds):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body has not come in time") from None
    except web.RequestPayloadError:
        raise web.HTTPBadRequest(reason="the body's coding is broken") from None
    except ConnectionError:
        raise web.HTTPBadRequest(reason="the connection has ended before the body") from None


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
        self._app[TURNS] = Turns()
        for method, path, handler in routes:
            self._app.router.add_route(method, path, handler, expect_handler=self._expect)

    async def run(self) -> None:
        """See `Adapter.run`."""
        endpoint = self._context.settings.listen
        if endpoint is None:
            raise ValueError("an HTTP adapter needs an address")
        server = AdminServer(
            self._app,
            *endpoint,
            max_connections=self._max_connections,
            what=self._context.name,
            malformed=self._malformed,
        )
        await server.start()
        try:
            self._context.listening(f"http://{server.endpoint.text}")
            await asyncio.Event().wait()
        finally:
            await server.stop()

    def _malformed(self, _reason: str) -> web.Response:
        """Answer what is no HTTP, and never comes to a route."""
        self._context.count("malformed")
        return self._error(400, "it cannot be read as HTTP")

    async def _expect(self, request: web.Request) -> web.StreamResponse | None:
        return await answer_expectation(request, unknown=self._unknown_expectation)

    def _unknown_expectation(self) -> web.Response:
        self._context.count("malformed")
        return self._error(417, "only 100-continue is known")

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        context = self._context
        if not is_allowed(request.remote, context.settings.allow):
            context.refuse(request.remote)
            refusal = self._error(403, "this address is not allowed")
            refusal.force_close()  # connections are few, and those who are allowed need them
            return refusal
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = self._error(error.status, error.reason)
            response.headers.update({key: value for key, value in error.headers.items() if key == "Allow"})
            if request.content.exception() is not None or not request.content.is_eof():
                response.force_close()  # where the next request would begin, nobody knows
        except Exception:  # noqa: BLE001 - the last resort; the log has it
            log.exception("%s: a fault of ours at %s", context.name, request.path)
            context.count("failed")
            return self._error(500, "the server failed; its log says how")
        context.count("ok" if response.status < 400 else "malformed" if response.status < 500 else "failed")
        return response
