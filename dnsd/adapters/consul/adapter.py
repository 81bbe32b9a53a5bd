"""Consul's HTTP API as far as it tells of services, nodes and their health; whatever would change something is refused.

It owns paths, headers and errors. Access is by address: tokens that clients send are neither needed nor looked at.
"""

from __future__ import annotations

import json
import random
import re
from functools import partial

from aiohttp import web

from dnsd import __version__
from dnsd.adapters.consul.answers import Answers
from dnsd.adapters.consul.calls import OF_NODE, Call
from dnsd.adapters.consul.query import JITTER_SHARE, BadQueryError, Query, read_query
from dnsd.adapters.context import AdapterContext
from dnsd.adapters.sending import send_json
from dnsd.adapters.shell import HttpAdapter, plain_error
from dnsd.config.settings import ConsulSettings
from dnsd.openfiles import room_for
from dnsd.together import until_one_ends

# Open at once: each client that waits has one, which costs some 12 KiB. Unit: connections.
MAX_CONNECTIONS = 4096

# Longer answers are not laid out for people: that takes a while, in which nothing else would get its turn. Unit: bytes.
MAX_PRETTY_SIZE = 64 * 1024

STATES = ("any", "passing", "warning", "critical")

# What is asked by path: the kind of the call, and what the name in it is called where it is missing.
BLOCKING = (
    ("/v1/health/service/{name:[^/]*}", "health/service", "service name"),
    ("/v1/health/checks/{name:[^/]*}", "health/checks", "service name"),
    ("/v1/health/node/{name:[^/]*}", "health/node", "node name"),
    ("/v1/health/state/{name:[^/]*}", "health/state", "check state"),
    ("/v1/catalog/service/{name:[^/]*}", "catalog/service", "service name"),
    ("/v1/catalog/node/{name:[^/]*}", "catalog/node", "node name"),
    ("/v1/catalog/services", "catalog/services", ""),
    ("/v1/catalog/nodes", "catalog/nodes", ""),
)

READ_ONLY = "Permission denied: the catalog is dnsd's, and nothing can be changed here"


class ConsulAdapter:
    """Serves the catalog.

    Args:
        context: of the adapter.
    """

    def __init__(self, context: AdapterContext[ConsulSettings]) -> None:
        self._context = context
        self._plane = context.plane
        self._datacenter = context.settings.datacenter
        self._answers = Answers(context.plane, datacenter=self._datacenter)
        plain = (
            ("/v1/catalog/datacenters", self._datacenters),
            ("/v1/status/leader", self._leader),
            ("/v1/status/peers", self._peers),
            ("/v1/agent/self", self._self),
        )
        paths = [path for path, _, _ in BLOCKING] + [path for path, _ in plain]
        self._paths = [re.compile(path.replace("{name:", "(").replace("}", ")")) for path in paths]
        self._http = HttpAdapter(
            context,
            [
                *(("GET", path, partial(self._blocking, kind, what)) for path, kind, what in BLOCKING),
                *(("GET", path, handler) for path, handler in plain),
                ("*", "/{rest:.*}", self._other),
            ],
            max_connections=room_for(MAX_CONNECTIONS),
        )

    async def run(self) -> None:
        """See `Adapter.run`."""
        # The answers come first, to let go of those who wait.
        await until_one_ends(self._answers.run(), self._http.run())

    # --- calls that can wait ------------------------------------------------------------------------------------

    async def _blocking(self, kind: str, what: str, request: web.Request) -> web.StreamResponse:
        try:
            query = self._query(request)
            call = _call_of(kind, what, request.match_info.get("name", ""), query)
        except BadQueryError as error:
            return plain_error(error.status, str(error))
        answer = await self._answers.answer(
            call,
            index=query.index,
            wait_seconds=query.wait_seconds * (1 + random.random() * JITTER_SHARE),
            is_there=lambda: request.transport is not None and not request.transport.is_closing(),
        )
        body = answer.body
        if query.pretty and len(body) <= MAX_PRETTY_SIZE:
            body = json.dumps(json.loads(body), indent=4).encode()
        headers = {"X-Consul-Index": str(answer.index), **self._contact()}
        return await send_json(request, body, headers=headers)

    def _query(self, request: web.Request) -> Query:
        parameters: dict[str, list[str]] = {}
        for key, value in request.query.items():
            parameters.setdefault(key, []).append(value)
        query = read_query(parameters, datacenter=self._datacenter)
        if query.consistent and not self._plane.store_health.readable:
            raise BadQueryError(500, "No cluster leader")
        return query

    def _contact(self) -> dict[str, str]:
        """Return what is said of the store: that it leads, or for how long nothing was heard of it."""
        health = self._plane.store_health
        silent_seconds = 0.0 if health.readable else max(0.0, self._plane.clock() - health.seen_at)
        return {
            "X-Consul-KnownLeader": str(health.readable).lower(),
            "X-Consul-LastContact": str(int(silent_seconds * 1000)),
        }

    # --- the others ---------------------------------------------------------------------------------------------

    async def _datacenters(self, _: web.Request) -> web.Response:
        return web.json_response([self._datacenter])

    async def _leader(self, _: web.Request) -> web.Response:
        return web.json_response(self._endpoint if self._plane.store_health.readable else "")

    async def _peers(self, _: web.Request) -> web.Response:
        return web.json_response([self._endpoint])

    async def _self(self, _: web.Request) -> web.Response:
        name = self._plane.settings.server_id
        config = {
            "Datacenter": self._datacenter,
            "PrimaryDatacenter": self._datacenter,
            "NodeName": name,
            "NodeID": "",
            "Server": True,
            "Revision": "",
            "Version": __version__,
        }
        member = {"Name": name, "Addr": self._endpoint.rpartition(":")[0].strip("[]"), "Status": 1, "Tags": {}}
        return web.json_response({"Config": config, "Member": member, "Meta": {}})

    async def _other(self, request: web.Request) -> web.Response:
        """Refuse what is no call here, as Consul would."""
        if request.method != "GET" and any(pattern.fullmatch(request.path) for pattern in self._paths):
            response = plain_error(405, f"method {request.method} not allowed")
            response.headers["Allow"] = "GET"
            return response
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return plain_error(404, "Invalid URL path: not a recognized HTTP API endpoint")
        return plain_error(403, READ_ONLY)

    @property
    def _endpoint(self) -> str:
        listen = self._context.settings.listen
        return "" if listen is None else listen.text


def _call_of(kind: str, what: str, name: str, query: Query) -> Call:
    """Return what is asked, less what means nothing for that call.

    Raises:
        BadQueryError: a name is missing, or is none.
    """
    if what and not name:
        raise BadQueryError(400, f"Missing {what}")
    if kind == "health/state" and name not in STATES:
        raise BadQueryError(400, f"{name!r} is not a check state: {', '.join(STATES)}")
    return Call(
        kind=kind,
        name=name,
        passing=query.passing and kind == "health/service",
        tags=query.tags if kind in ("health/service", "catalog/service") else (),
        node_meta=() if kind in OF_NODE else query.node_meta,
    )
