"""The application: every route of the table behind the same checks, in the same order.

request ─ target is text ─ local, or tokens are set ─ route ─ caller ─ query, If-Match and body ─ handler ─ reply
                 any error on the way, the handler's included, becomes a problem (admin.problems)

Agents' reports, of which there are more than of all else together, take a shorter way where they can (admin.lane).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler as HttpHandler
from aiohttp.typedefs import Middleware

from admin.auth import Gate
from admin.backend import Backend
from admin.bodies import MAX_BODY_SIZE, read_body
from admin.call import Call, Reply, Services
from admin.expectation import answer_expectation
from admin.lane import ReportLane
from admin.openapi import describe
from admin.problems import (
    MALFORMED_TARGET,
    SECURITY_HEADERS,
    Fault,
    invalid,
    problem_response,
    unknown_expectation,
)
from admin.query import read_if_match, read_query
from admin.routes import ROUTES, Route
from admin.streams import HEARTBEAT_SECONDS, EventStreams
from dnsd.config.settings import Token

# The short way of agents' reports, for the server that the application runs in.
LANE = web.AppKey("LANE", ReportLane)


def make_app(
    backend: Backend,
    *,
    tokens: Callable[[], tuple[Token, ...]],
    metrics: Callable[[], Awaitable[bytes]],
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> web.Application:
    """Return the admin interface over a service.

    Args:
        tokens: gives those of now; none: whoever reaches the server is the operator `local`.
        metrics: returns the exposition in Prometheus' text format.
        heartbeat_seconds: silence on an event stream after which a comment is sent.
    """
    gate = Gate(tokens)
    streams = EventStreams(heartbeat_seconds=heartbeat_seconds)
    services = Services(backend=backend, metrics=metrics, openapi=describe(ROUTES), streams=streams)
    app = web.Application(client_max_size=MAX_BODY_SIZE, middlewares=[_problems(backend), _guard(gate)])
    for route in ROUTES:
        handler = _http_handler(route, gate, services)
        app.router.add_route(route.method, route.path, handler, expect_handler=_expect)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, handler, expect_handler=_expect)

    async def close_streams(_app: web.Application) -> None:
        streams.close()

    app[LANE] = ReportLane(gate, backend)
    app.on_shutdown.append(close_streams)
    app.on_response_prepare.append(_add_security_headers)
    return app


async def _expect(request: web.Request) -> web.StreamResponse | None:
    return await answer_expectation(request, unknown=unknown_expectation)


def _problems(backend: Backend) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: HttpHandler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - the last resort; what is not expected is logged there
            return problem_response(error, backend)

    return middleware


def _guard(gate: Gate) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: HttpHandler) -> web.StreamResponse:
        gate.check_local(request)
        try:
            request.raw_path.encode("utf-8")
        except UnicodeEncodeError:
            raise Fault(MALFORMED_TARGET, "Percent-encode what is not ASCII.") from None
        return await handler(request)

    return middleware


def _http_handler(route: Route, gate: Gate, services: Services) -> HttpHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        authorizations = request.headers.getall("Authorization", [])
        actor = gate.admit(authorizations, route.access, node=request.match_info.get("id"))
        query, errors = read_query(request.query, route.params)
        if_revision, more = read_if_match(request.headers.getall("If-Match", [])) if route.conditional else (None, [])
        body, yet_more = await read_body(request, route.body)
        if errors or more or yet_more:
            raise invalid([*errors, *more, *yet_more])
        call = Call(
            request=request,
            services=services,
            actor=actor,
            path=dict(request.match_info),
            query=query,
            body=body,
            if_revision=if_revision,
        )
        reply = await route.handler(call)
        return _response(reply) if isinstance(reply, Reply) else reply

    return handle


def _response(reply: Reply) -> web.Response:
    response = web.Response(
        body=reply.model.model_dump_json().encode(), status=reply.status, content_type="application/json"
    )
    if reply.revision is not None:
        response.headers["ETag"] = f'"{reply.revision}"'
    return response


async def _add_security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
