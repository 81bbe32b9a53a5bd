"""Who may call what: every scope against every route, and the guard of a server without tokens."""

from __future__ import annotations

from typing import Any

import pytest

from admin.auth import Access
from admin.routes import ROUTES, Route
from tests.admin.fakebackend import FakeBackend
from tests.admin.site import TOKENS, Site, bearer

# What each call asks of its caller, written down once more: a new route fails the test below until it is here.
EXPECTED = {
    ("GET", "/v1/nodes"): Access.READ,
    ("GET", "/v1/nodes/{id}"): Access.READ_NODE,
    ("PUT", "/v1/nodes/{id}"): Access.WRITE_NODE,
    ("DELETE", "/v1/nodes/{id}"): Access.WRITE,
    ("POST", "/v1/nodes/{id}/report"): Access.WRITE_NODE,
    ("GET", "/v1/nodes/{id}/status"): Access.READ_NODE,
    ("PUT", "/v1/nodes/{id}/drain"): Access.WRITE_NODE,
    ("DELETE", "/v1/nodes/{id}/drain"): Access.WRITE_NODE,
    ("GET", "/v1/drains"): Access.READ,
    ("GET", "/v1/history"): Access.READ,
    ("GET", "/v1/pools"): Access.READ,
    ("GET", "/v1/pools/{owner}"): Access.READ,
    ("GET", "/v1/consumers"): Access.READ,
    ("PUT", "/v1/consumers/{id}"): Access.WRITE_CONSUMER,
    ("DELETE", "/v1/consumers/{id}"): Access.WRITE_CONSUMER,
    ("GET", "/v1/explain"): Access.READ,
    ("GET", "/v1/events"): Access.READ,
    ("GET", "/livez"): Access.OPEN,
    ("GET", "/readyz"): Access.OPEN,
    ("GET", "/metrics"): Access.READ,
    ("GET", "/openapi.json"): Access.OPEN,
    ("GET", "/"): Access.OPEN,
}

LETS_IN = {
    Access.OPEN: {"nobody", "vera", "olga", "own agent", "other agent", "rita", "own router", "other router"},
    Access.READ: {"vera", "olga", "rita", "own router", "other router"},
    Access.READ_NODE: {"vera", "olga", "own agent", "rita", "own router", "other router"},
    Access.WRITE_NODE: {"olga", "own agent"},
    Access.WRITE_CONSUMER: {"olga", "rita", "own router"},
    Access.WRITE: {"olga"},
}

BODIES: dict[str, Any] = {
    "/v1/nodes/{id}": {"addresses": ["192.0.2.1"], "roles": ["edge"]},
    "/v1/nodes/{id}/report": {"sequence": 1, "observed_at": "2026-01-31T12:00:00Z"},
    "/v1/nodes/{id}/drain": {"reason": "kernel"},
    "/v1/consumers/{id}": {"kind": "router", "applied_revision": 0},
}

TOKEN_OF = {
    "own agent": "edge-agent",
    "other agent": "edge-agent",
    "own router": "router-1",
    "other router": "router-1",
}

# What the path names for a caller that speaks for one thing alone.
NAMED = {"other agent": "edge-2", "own router": "router-1", "other router": "router-2"}

QUERIES = {"/v1/explain": "?name=edge.example.org"}


def test_every_route_has_its_access_written_down() -> None:
    """The table of this test and the route table name the same calls with the same access."""
    assert {(route.method, route.path): route.access for route in ROUTES} == EXPECTED


@pytest.mark.parametrize("caller", sorted(LETS_IN[Access.OPEN]))
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_each_scope_reaches_its_own_routes_alone(
    guarded: Site, backend: FakeBackend, route: Route, caller: str
) -> None:
    """A caller outside a route's scopes gets 401 or 403 and the service hears nothing; any other one gets through."""
    path = route.path.format(id=NAMED.get(caller, "EDGE-1"), owner="edge.example.org") + QUERIES.get(route.path, "")
    headers = {} if caller == "nobody" else bearer(TOKEN_OF.get(caller, caller))
    body = BODIES.get(route.path) if route.body else None
    method = "HEAD" if route.path == "/v1/events" else route.method  # the stream itself has no end
    async with guarded.session.request(method, guarded.url(path), json=body, headers=headers) as got:
        status, challenge = got.status, got.headers.get("WWW-Authenticate")
    if caller in LETS_IN[route.access]:
        assert status in (200, 404, 409)  # 409: the node is a configured one
        assert challenge is None
    else:
        assert status == (401 if caller == "nobody" else 403)
        assert challenge == ("Bearer" if caller == "nobody" else None)
        assert (backend.actors, backend.reports, backend.words) == ([], [], [])


async def test_tokens_are_those_of_now(backend: FakeBackend) -> None:
    """A token that a reload takes away opens nothing from then on, and one that it brings does."""
    tokens = [TOKENS[1]]
    async with Site(backend, tokens=tokens) as site:
        assert (await site.get("/v1/nodes", headers=bearer("olga"))).status == 200
        tokens[:] = [TOKENS[0]]
        assert (await site.get("/v1/nodes", headers=bearer("olga"))).status == 401
        assert (await site.get("/v1/nodes", headers=bearer("vera"))).status == 200


@pytest.mark.parametrize(
    "value",
    ["Bearer wrong", "Bearer", "Bearer ", "Basic ZG8tYWxs", "do-all", "Bearer do-al", "Bearer do-all2", "Bearer \xff"],
)
async def test_an_unknown_token_is_401(guarded: Site, value: str) -> None:
    """A token that is not known, or not a bearer token, opens nothing and is told so."""
    got = await guarded.get("/v1/nodes", headers={"Authorization": value})
    assert (got.status, got.problem["id"]) == (401, "unauthenticated")
    assert got.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def test_the_scheme_is_read_in_any_case(guarded: Site) -> None:
    """RFC 9110 §11.1: the scheme's case makes no difference."""
    assert (await guarded.get("/v1/nodes", headers={"Authorization": "bEARER do-all"})).status == 200


async def test_two_tokens_are_none(guarded: Site) -> None:
    """A request with two Authorization headers does not choose between them."""
    got = await guarded.raw(
        b"GET /v1/nodes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: Bearer do-all\r\nAuthorization: Bearer see-all\r\n\r\n"
    )
    assert got.startswith((b"HTTP/1.1 401", b"HTTP/1.0 400", b"HTTP/1.1 400"))


async def test_the_actor_is_the_token_s(guarded: Site, backend: FakeBackend) -> None:
    """The actor and the default holder are the token's name; another holder leaves the actor as it is."""
    own = await guarded.put("/v1/nodes/edge-1/drain", {"reason": "x"}, headers=bearer("olga"))
    other = await guarded.put("/v1/nodes/edge-1/drain", {"reason": "x", "holder": "ops"}, headers=bearer("olga"))
    assert [(got.json["drain"]["actor"], got.json["drain"]["holder"]) for got in (own, other)] == [
        ("olga", "olga"),
        ("olga", "ops"),
    ]


AGENT_REFUSED = [
    ("PUT", "/v1/nodes/edge-1/drain", {"reason": "x", "holder": "ops"}, "holder"),
    ("PUT", "/v1/nodes/edge-1/drain", {"reason": "x", "force": True}, "force"),
    ("DELETE", "/v1/nodes/edge-1/drain?holder=ops", None, "holder"),
    ("DELETE", "/v1/nodes/edge-1/drain?all_holders=true", None, "all_holders"),
]


@pytest.mark.parametrize(("method", "path", "body", "field"), AGENT_REFUSED)
async def test_an_agent_acts_as_itself_alone(
    guarded: Site, backend: FakeBackend, method: str, path: str, body: Any, field: str
) -> None:
    """An agent neither takes another holder's name, nor releases for all, nor goes against the guard."""
    got = await guarded.ask(method, path, json=body, headers=bearer("edge-agent"))
    assert (got.status, got.problem["id"], got.problem["field"]) == (403, "not-allowed", field)
    assert backend.actors == []


async def test_an_agent_drains_and_releases_its_node(guarded: Site, backend: FakeBackend) -> None:
    """An agent's drain is held by it, whether or not it says so, and leaves others' drains alone."""
    await guarded.put("/v1/nodes/edge-1/drain", {"reason": "x"}, headers=bearer("olga"))
    for body in ({"reason": "x"}, {"reason": "y", "holder": "edge-agent"}):
        got = await guarded.put("/v1/nodes/edge-1/drain", body, headers=bearer("edge-agent"))
        assert (got.status, got.json["drain"]["holder"]) == (200, "edge-agent")
    released = await guarded.ask("DELETE", "/v1/nodes/edge-1/drain", headers=bearer("edge-agent"))
    assert released.json["changed"] is True
    assert [key[2] for key in backend.drain_infos] == ["olga"]


LOOPBACK = ["localhost", "LOCALHOST:8053", "127.0.0.1", "127.8.9.1:1", "[::1]", "[::1]:8053"]
ELSEWHERE = [
    "evil.example",
    "evil.example:8053",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "192.0.2.1",
    "[2001:db8::1]:8053",
    "0.0.0.0",
    "localhost@evil.example",
    "evil.example@localhost",
    "localhost:port",
    "",
]


@pytest.mark.parametrize("host", LOOPBACK)
async def test_without_tokens_a_loopback_host_is_the_operator(site: Site, backend: FakeBackend, host: str) -> None:
    """Any loopback name and port is let in, also as the Origin of a page."""
    headers = {"Host": host, "Origin": f"http://{host}"}
    got = await site.put("/v1/nodes/edge-1/drain", {"reason": "x"}, headers=headers)
    assert got.status == 200
    assert backend.actors[0].name == "local"


@pytest.mark.parametrize("path", ["/v1/nodes", "/livez", "/metrics", "/", "/nowhere"])
@pytest.mark.parametrize("host", ELSEWHERE)
async def test_without_tokens_another_host_is_refused(site: Site, host: str, path: str) -> None:
    """A name that was rebound to this address reaches nothing at all."""
    got = await site.get(path, headers={"Host": host})
    assert (got.status, got.problem["id"]) == (403, "not-local")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://evil.example/v1/drains", b"403"),
        (b"https://evil.example:8053/v1/drains", b"403"),
        (b"HTTP://localhost@evil.example/v1/drains", b"403"),
        (b"http://localhost/v1/drains", b"200"),
        (b"http://127.0.0.1:8053/v1/drains", b"200"),
        (b"//evil.example/v1/drains", b"404"),
    ],
)
async def test_a_target_with_a_host_is_held_to_it(site: Site, guarded: Site, target: bytes, status: bytes) -> None:
    """Where the request target names a host, as to a proxy, that one counts beside the Host header."""
    ask = b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    assert (await site.raw(ask + b"\r\n")).split()[1] == status
    with_token = await guarded.raw(ask + b"Authorization: Bearer do-all\r\n\r\n")
    assert with_token.split()[1] in (b"200", b"404")


async def test_a_tunnel_is_not_opened(site: Site) -> None:
    """CONNECT names another host, and nothing but a proxy has a use for it."""
    got = await site.raw(b"CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert got.split()[1] == b"403"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1.evil.example", "http://[2001:db8::1]"])
async def test_without_tokens_another_origin_is_refused(
    site: Site, backend: FakeBackend, origin: str, method: str
) -> None:
    """A page of another site drains nothing and reads nothing."""
    got = await site.ask(method, "/v1/nodes/edge-1/drain", json={"reason": "x"}, headers={"Origin": origin})
    assert (got.status, got.problem["id"]) == (403, "not-local")
    assert backend.actors == []


async def test_an_opaque_origin_may_read_and_not_write(site: Site) -> None:
    """`Origin: null` is any sandboxed page: it may fetch what it cannot read anyway, and writes nothing."""
    headers = {"Origin": "null"}
    assert (await site.get("/v1/nodes", headers=headers)).status == 200
    assert (await site.ask("DELETE", "/v1/nodes/edge-1/drain", headers=headers)).status == 403


async def test_a_request_without_a_host_is_no_browser_s(site: Site) -> None:
    """HTTP/1.0 may leave Host out, which no browser does; two Hosts do not hide one behind the other."""
    assert b" 200 " in (await site.raw(b"GET /livez HTTP/1.0\r\n\r\n")).splitlines()[0]
    two = await site.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert two.split()[1] in (b"400", b"403")


async def test_with_tokens_any_host_and_origin_is_served(guarded: Site) -> None:
    """With tokens, a server has the name that its operators give it."""
    headers = bearer("olga") | {"Host": "dns.example.org", "Origin": "https://dns.example.org"}
    assert (await guarded.get("/v1/nodes", headers=headers)).status == 200
