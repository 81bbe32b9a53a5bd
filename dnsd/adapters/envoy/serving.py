"""The HTTP of Envoy's endpoint discovery: one call, its answers and its errors."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.envoy.discovery import Discovery, MalformedRequestError, Request, Response, read_request
from dnsd.adapters.sending import send_json
from dnsd.adapters.shell import BODY_SECONDS, HttpAdapter, read_body
from dnsd.config.settings import EnvoySettings

PATH = "/v3/discovery:endpoints"

# Of what a client says and a log repeats. Unit: characters.
MAX_SHOWN = 200

# Of contents that are on their way: a client that does not read keeps an old one alive until it is cut off, and a new
# one comes with each change. It is some ten of a hundred thousand nodes. Unit: bytes.
MAX_IN_FLIGHT = 256 * 1024 * 1024


class InFlight:
    """Contents that are being sent, each counted once for all who read it."""

    def __init__(self) -> None:
        self._readers: Counter[str] = Counter()
        self._sizes: dict[str, int] = {}

    @property
    def any(self) -> bool:
        """Say whether there is one."""
        return bool(self._sizes)

    def begins(self, version: str, size: int) -> bool:
        """Note that one is sent; False: not now. One is always, however large."""
        if self._sizes and version not in self._sizes and sum(self._sizes.values()) + size > MAX_IN_FLIGHT:
            return False
        self._readers[version] += 1
        self._sizes[version] = size
        return True

    def ends(self, version: str) -> None:
        """Note that it has been sent, or will not be."""
        self._readers[version] -= 1
        if not self._readers[version]:
            del self._readers[version], self._sizes[version]


def json_error(status: int, text: str) -> web.Response:
    """Return an error as Google's APIs write it in JSON."""
    return web.json_response({"error": {"code": status, "message": text}}, status=status)


class EndpointDiscovery:
    """The adapter.

    Args:
        body_seconds: how long a request's body may take.
    """

    def __init__(self, context: AdapterContext[EnvoySettings], *, body_seconds: float = BODY_SECONDS) -> None:
        self.context = context
        self._body_seconds = body_seconds
        self._discovery = Discovery(context.plane, context.settings.ports)
        self._in_flight = InFlight()
        self._http = HttpAdapter(context, [("POST", PATH, self._fetch)], error=json_error)

    @property
    def sends(self) -> bool:
        """Say whether an answer is on its way."""
        return self._in_flight.any

    async def run(self) -> None:
        """See `Adapter.run`."""
        await self._http.run()

    async def _fetch(self, http: web.Request) -> web.StreamResponse:
        """Answer a request for endpoints."""
        body = await read_body(http, within_seconds=self._body_seconds)
        try:
            request = read_request(body)
        except MalformedRequestError as error:
            return json_error(400, str(error))
        response = await self._discovery.answer(request)
        self._complain(request, response)
        if response.body is None:
            return web.Response(status=304)
        if not self._in_flight.begins(response.version, sum(map(len, response.body))):
            self.context.complaints.say("busy", "clients that do not read their answers hold too much memory")
            return json_error(503, "too much is on its way to others")
        try:
            return await send_json(http, *response.body)
        finally:
            self._in_flight.ends(response.version)

    def _complain(self, request: Request, response: Response) -> None:
        complaints = self.context.complaints
        if request.rejected:
            version, why = request.version[:MAX_SHOWN], request.rejected[:MAX_SHOWN]
            complaints.say("rejected", f"a client could not use version {version!r}: {why!r}")
        if response.unknown:
            complaints.say("unknown", f"there is no role or pool {response.unknown[0][:MAX_SHOWN]!r}")
        for name, nodes in response.portless.items():
            message = f"{len(nodes)} nodes of {name!r} are left out, {nodes[0]} for one: they have no port for the role"
            complaints.say("portless", message)
