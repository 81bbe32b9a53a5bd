"""The router's HTTP interface: what is answered to what, without a process of its own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from dnsd.model.drain import Mode
from dnsd.router import FleetView, RolePolicy, Router
from dnsd.router.service import Service
from dnsd.router.settings import RoleSettings
from dnsd.router.tokens import Session, Signer, digest_of
from dnsd.router.urls import UrlTemplate
from tests.router.fleets import NOW, Clock, a_drain, a_node, a_view

SIGNER = Signer([b"s" * 32], lifetime_seconds=60)
NODES = [
    a_node("edge-1", addresses=("192.0.2.1", "2001:db8::1"), region="eu", roles=("edge", "ingest")),
    a_node("edge-2", addresses=("192.0.2.2",), region="us", ports={"edge": 8443}, roles=("edge", "origin")),
]
ROLES = {
    "edge": RoleSettings(url=UrlTemplate("https://{id}.example.org/{key}"), policy=RolePolicy(other_role="origin")),
    "ingest": RoleSettings(url=UrlTemplate("rtmp://{ipv6}/live"), redirects=True),
}


class FakeSource:
    """What the view comes from, as a test says."""

    label = "a fake"
    acknowledged = 1

    def __init__(self) -> None:
        self.up = True
        self.heard_at: float | None = NOW

    async def run(self) -> None:
        """Do nothing."""

    async def leave(self) -> None:
        """Do nothing."""


Client = TestClient[Any, Any]


@asynccontextmanager
async def serving(
    view: FleetView, *, signer: Signer | None = SIGNER, clock: Clock | None = None
) -> AsyncIterator[Client]:
    """Serve a view."""
    clock = clock or Clock()
    policies = {name: role.policy for name, role in ROLES.items()}
    router = Router(view, policies=policies, clock=clock)
    service = Service(router, FakeSource(), roles=ROLES, signer=signer, clock=clock)
    async with TestClient(TestServer(service.app())) as client:
        yield client


async def document(client: Client, path: str) -> Any:
    """Return the JSON of a GET."""
    async with client.get(path) as response:
        return await response.json()


async def test_a_node_is_answered_with_all_that_a_client_needs() -> None:
    """Addresses, port, URL, mode, revision and how it was chosen."""
    async with serving(a_view(NODES, [a_drain("edge-1")])) as client:
        assert await document(client, "/route/edge?key=a/b") == {
            "node": "edge-2",
            "addresses": ["192.0.2.2"],
            "region": "us",
            "role": "edge",
            "port": 8443,
            "url": "https://edge-2.example.org/a%2Fb",
            "mode": "normal",
            "health": "up",
            "reason": "placed",
            "revision": 1,
        }


async def test_a_role_redirects_where_it_is_told_to() -> None:
    """By the configuration or the request; 307, so that a POST stays one."""
    async with serving(a_view(NODES)) as client:
        for path, location in (
            ("/route/ingest?key=x", "rtmp://[2001:db8::1]/live"),
            ("/route/edge?key=x&near=us&redirect=1", "https://edge-2.example.org/x"),
        ):
            async with client.get(path, allow_redirects=False) as response:
                assert (response.status, response.headers["Location"]) == (307, location)
        assert (await document(client, "/route/ingest?redirect=0"))["node"] == "edge-1"
        async with client.get("/route/origin?redirect=1") as response:
            assert response.status == 400


async def test_a_node_without_a_url_is_passed_over_where_clients_are_redirected() -> None:
    """503 where there is no other, also in the role fallen back to; JSON names it all the same."""
    nodes = [a_node(f"n{number}", roles=("ingest",)) for number in range(40)]
    with_url = a_node("v6", roles=("ingest",), addresses=("2001:db8::1",))
    async with serving(a_view([*nodes, with_url])) as client:
        for key in range(10):
            async with client.get(f"/route/ingest?key={key}", allow_redirects=False) as response:
                assert (response.status, response.headers["Location"]) == (307, "rtmp://[2001:db8::1]/live")
        async with client.get("/route/ingest?exclude=v6") as response:
            assert (response.status, (await response.json())["id"]) == (503, "no-url")
        assert (await document(client, "/route/ingest?redirect=0&exclude=v6"))["url"] is None
    drained = a_view(NODES, [a_drain("edge-1"), a_drain("edge-2", role="edge")])
    async with serving(drained) as client, client.get("/route/edge?redirect=1") as response:
        assert (response.status, (await response.json())["id"]) == (503, "all-drained")


async def test_the_longest_names_make_a_token_that_is_read() -> None:
    """Whatever a request may have in it."""
    node = a_node("n" * 63, roles=("r" * 63,))
    async with serving(a_view([node])) as client:
        body = {"role": "r" * 63, "kind": "k" * 64, "key": "\U0001f600" * 4096}
        async with client.post("/sessions", json=body) as response:
            token = (await response.json())["token"]
        async with client.post("/sessions", json={**body, "session": token}) as response:
            assert (response.status, (await response.json())["reason"]) == (200, "kept")


@pytest.mark.parametrize(
    ("path", "status", "problem"),
    [
        ("/route/edge?colour=red", 400, "invalid-request"),
        ("/route/edge?key=a&key=b", 400, "invalid-request"),
        ("/route/edge?purpose=fun", 400, "invalid-request"),
        ("/route/edge?node=edge-1", 400, "invalid-request"),
        ("/route/edge?redirect=yes", 400, "invalid-request"),
        ("/route/b%20d", 400, "invalid-request"),
        ("/route/edge?session=v1.x.y", 403, "bad-token"),
        ("/route/storage", 404, "unknown-role"),
        ("/nowhere", 404, "not-found"),
        ("/sessions", 405, "method-not-allowed"),
        ("/route/edge?exclude=edge-1,edge-2", 503, "all-excluded"),
    ],
)
async def test_what_makes_no_sense_is_a_problem(path: str, status: int, problem: str) -> None:
    """RFC 9457, with a stable id."""
    async with serving(a_view(NODES)) as client, client.get(path) as response:
        assert (response.status, response.content_type) == (status, "application/problem+json")
        found = await response.json()
        assert (found["id"], found["status"], found["type"]) == (problem, status, f"/problems/{problem}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"role": 1}',
        b'{"key": "k"}',
        b'{"role": "edge", "exclude": "edge-1"}',
        b'{"role": "edge", "x": 1}',
        b'{"\\ud800": 1}',
        b'{"role": "\\ud800"}',
        '{"role": "edge", "kind": "\U0001f600"}'.encode(),
        b'{"role": "edge", "kind": "' + b"k" * 100 + b'"}',
        b"[" * 50_000,
        b"\xff",
    ],
)
async def test_a_session_that_makes_no_sense_is_a_problem(body: bytes) -> None:
    """400, whatever the body is."""
    async with serving(a_view(NODES)) as client, client.post("/sessions", data=body) as response:
        assert (response.status, response.content_type) == (400, "application/problem+json")


async def test_a_body_that_is_too_large_is_refused() -> None:
    """413, as a problem."""
    async with serving(a_view(NODES)) as client, client.post("/sessions", data=b"x" * 100_000) as response:
        assert (response.status, (await response.json())["status"]) == (413, 413)


async def test_a_session_keeps_its_node_while_it_drains() -> None:
    """No new one comes; the old one has its node until maintenance, and until its token is over."""
    clock, view = Clock(), a_view(NODES)
    async with serving(view, clock=clock) as client:
        async with client.post(
            "/sessions", json={"role": "edge", "key": "k", "near": "eu", "kind": "play"}
        ) as response:
            assert response.status == 201
            placed = await response.json()
        assert placed["node"] == "edge-1"
        said = SIGNER.read(placed["token"], now=NOW)
        assert said == Session("edge-1", "edge", placed["session"], "play", int(NOW), digest_of("k"))
        path = f"/route/edge?key=k&near=eu&session={placed['token']}"
        expected = {
            Mode.NORMAL: ("edge-1", "kept"),
            Mode.DRAINING: ("edge-1", "kept"),
            Mode.MAINTENANCE: ("edge-2", "placed"),
        }
        for mode, (node, reason) in expected.items():
            view.replace(a_state_of(mode), now=NOW)
            found = await document(client, path)
            assert (found["node"], found["reason"]) == (node, reason)
        view.replace(a_state_of(Mode.DRAINING), now=NOW)
        assert (await document(client, path + "&exclude=edge-1"))["node"] == "edge-2"
        clock.now = NOW + 61
        assert (await document(client, path))["node"] == "edge-2"


def a_state_of(mode: Mode) -> Any:
    """Return the state in which `edge-1` is in a mode."""
    return a_view(NODES, [] if mode is Mode.NORMAL else [a_drain("edge-1", mode=mode)]).state


@pytest.mark.parametrize("other", [{"key": "b"}, {"kind": "publish"}])
async def test_a_token_brings_no_other_session_to_a_drained_node(other: dict[str, str]) -> None:
    """For another key or kind, it is a new session, with an id of its own."""
    view = a_view(NODES)
    async with serving(view) as client:
        body = {"role": "edge", "key": "a", "kind": "play", "near": "eu"}
        async with client.post("/sessions", json=body) as response:
            placed = await response.json()
        view.replace(a_state_of(Mode.DRAINING), now=NOW)
        async with client.post("/sessions", json={**body, **other, "session": placed["token"]}) as response:
            found = await response.json()
            assert (response.status, found["node"], found["reason"]) == (201, "edge-2", "placed")
        assert found["session"] != placed["session"]


async def test_a_token_is_not_renewed_while_its_node_drains() -> None:
    """However often it is shown, it is over after its lifetime; on a normal node it is renewed."""
    clock, view = Clock(), a_view(NODES)
    body = {"role": "edge", "key": "a", "near": "eu"}
    async with serving(view, clock=clock) as client:
        token = None
        for seconds, mode, status in (
            (0, Mode.NORMAL, 201),
            (40, Mode.NORMAL, 200),
            (80, Mode.DRAINING, 200),
            (100, Mode.DRAINING, 200),
            (101, Mode.DRAINING, 201),
        ):
            clock.now = NOW + seconds
            view.replace(a_state_of(mode), now=NOW)
            async with client.post("/sessions", json={**body, "session": token}) as response:
                assert response.status == status
                token = (await response.json())["token"]


async def test_a_token_is_for_its_role() -> None:
    """Nobody gets a storage node by the token of an edge."""
    token = SIGNER.sign(Session(node="edge-1", role="edge", id="x", kind="", issued_at=int(NOW)))
    async with serving(a_view(NODES)) as client, client.get(f"/route/ingest?session={token}") as response:
        assert response.status == 400


async def test_a_session_in_the_role_fallen_back_to_comes_back_to_its_node() -> None:
    """Its token names the role that it was placed in."""
    nodes = [a_node("edge-1"), a_node("origin-1", roles=("origin",))]
    async with serving(a_view(nodes, [a_drain("edge-1")])) as client:
        async with client.post("/sessions", json={"role": "edge"}) as response:
            placed = await response.json()
        assert (placed["node"], placed["role"], placed["reason"]) == ("origin-1", "origin", "fallback-role")
        assert (await document(client, f"/route/edge?session={placed['token']}"))["reason"] == "kept"


async def test_the_source_of_a_stream_is_found_by_node_or_by_key() -> None:
    """By key, also where a stream is that came after the drain; by node, as the caller knows it."""
    async with serving(a_view(NODES, [a_drain("edge-1")])) as client:
        keys = [str(number) for number in range(30)]
        found = [await document(client, f"/route/edge?purpose=source&key={key}") for key in keys]
        assert {(each["node"], each["mode"], each["also"]) for each in found} == {
            ("edge-1", "draining", "edge-2"), ("edge-2", "normal", None),
        }  # fmt: skip
        assert (await document(client, "/route/edge?purpose=source&node=edge-1"))["reason"] == "kept"
        assert (await document(client, "/route/edge?purpose=source&node=edge-9"))["node"] in ("edge-1", "edge-2")


async def test_nobody_is_named_before_the_drains_are_loaded() -> None:
    """Alive, not ready, and 503 to whoever asks."""
    view = FleetView()
    view.take_configured(NODES, now=NOW)
    async with serving(view) as client:
        for path, status in (("/livez", 200), ("/readyz", 503), ("/route/edge", 503), ("/metrics", 200)):
            async with client.get(path) as response:
                assert response.status == status
        assert (await document(client, "/route/edge"))["id"] == "not-ready"


async def test_without_a_secret_sessions_get_no_tokens() -> None:
    """They are placed, and none is read."""
    async with serving(a_view(NODES), signer=None) as client:
        async with client.post("/sessions", json={"role": "edge"}) as response:
            assert (await response.json())["token"] is None
        async with client.get("/route/edge?session=v1.a.b") as response:
            assert response.status == 400


async def test_metrics_tell_what_was_answered() -> None:
    """By role and outcome; a role that nobody knows makes no series of its own."""
    async with serving(a_view(NODES, [a_drain("edge-1")])) as client:
        for path in ("/route/edge", "/route/edge", "/route/made-up-1", "/route/made-up-2", "/route/ingest"):
            await document(client, path)
        async with client.get("/metrics") as response:
            text = await response.text()
    for line in (
        'dnsd_router_routes_total{outcome="placed",role="edge"} 2.0',
        'dnsd_router_routes_total{outcome="unknown-role",role=""} 2.0',
        'dnsd_router_routes_total{outcome="all-drained",role="ingest"} 1.0',
        'dnsd_router_nodes{role="edge",state="fit"} 1.0',
        'dnsd_router_revision{stage="applied"} 1.0',
        "dnsd_router_source_up 1.0",
    ):
        assert line in text.splitlines()


async def test_the_page_lists_every_metric() -> None:
    """With its labels, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "router.md").read_text()
    listed = dict(re.findall(r"^(dnsd_router_\w+?)(?:_total)?(?:\{([\w,]+)\})? ", page, re.MULTILINE))
    async with serving(a_view(NODES, [a_drain("edge-1"), a_drain("edge-2")])) as client:
        await document(client, "/route/edge")
        async with client.get("/metrics") as response:
            text = await response.text()
    exposed = {each.removesuffix("_total") for each in re.findall(r"^# TYPE (dnsd_\w+) ", text, re.MULTILINE)}
    assert {each for each in exposed if not each.endswith("_created")} == set(listed)
    for name, labels in listed.items():
        for line in re.findall(rf"^{name}(?:_total)?\{{(.*)\}}", text, re.MULTILINE):
            assert set(re.findall(r'(\w+)="', line)) == set(labels.split(","))
