"""The HTTP of Envoy's endpoint discovery: one call, its answers and its errors."""

from __future__ import annotations

import asyncio

from aiohttp import web

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.envoy.discovery import Discovery, MalformedRequestError, Request, Response, read_request
from dnsd.adapters.groups import Groups
from dnsd.adapters.shell import HttpAdapter
from dnsd.config.settings import EnvoySettings

PATH = "/v3/discovery:endpoints"

# For a request's body to come; Envoy sends it at once. Unit: seconds.
BODY_SECONDS = 10.0

# Of what a client says and a log repeats. Unit: characters.
MAX_SHOWN = 200


def json_error(status: int, text: str) -> web.Response:
    """Return an error as Google's APIs write it in JSON."""
    return web.json_response({"error": {"code": status, "message": text}}, status=status)


class EndpointDiscovery:
    """The adapter.

    Args:
        body_seconds: how long a request's body may take.
    """

    def __init__(self, context: AdapterContext[EnvoySettings], *, body_seconds: float = BODY_SECONDS) -> None:
        self._context = context
        self._body_seconds = body_seconds
        self._discovery = Discovery(Groups(context.plane), context.settings.ports)
        self._http = HttpAdapter(context, [("POST", PATH, self._fetch)], error=json_error)

    async def run(self) -> None:
        """See `Adapter.run`."""
        await self._http.run()

    async def _fetch(self, http: web.Request) -> web.Response:
        """Answer a request for endpoints."""
        try:
            async with asyncio.timeout(self._body_seconds):
                request = read_request(await http.read())
        except TimeoutError:
            return json_error(408, "the body has not come in time")
        except MalformedRequestError as error:
            return json_error(400, str(error))
        except web.RequestPayloadError:
            return await _last(http, json_error(400, "the body's coding is broken"))
        response = self._discovery.answer(request)
        self._complain(request, response)
        if response.body is None:
            return web.Response(status=304)
        return web.Response(text=response.body, content_type="application/json")

    def _complain(self, request: Request, response: Response) -> None:
        complaints = self._context.complaints
        if request.rejected:
            version, why = request.version[:MAX_SHOWN], request.rejected[:MAX_SHOWN]
            complaints.say("rejected", f"a client could not use version {version!r}: {why!r}")
        if response.unknown:
            complaints.say("unknown", f"there is no role or pool {response.unknown[0][:MAX_SHOWN]!r}")
        for name, nodes in response.portless.items():
            message = f"{len(nodes)} nodes of {name!r} are left out, {nodes[0]} for one: they have no port for the role"
            complaints.say("portless", message)


async def _last(http: web.Request, response: web.Response) -> web.Response:
    """Send a response and end the connection: a request after a broken body cannot be found."""
    response.force_close()
    await response.prepare(http)
    await response.write_eof()
    http.protocol.force_close()
    return response
