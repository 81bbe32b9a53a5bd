"""A real router that follows a server's HTTP interface, where no store is shared."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.router.processes import RouterProcess, a_running_router, by_server
from tests.support.redis_fleet import drain, undrain
from tests.support.servers import PATIENCE_SECONDS, Server, free_port, wait_until

EDGES = {"edge-1", "edge-2", "edge-3"}


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A server's files, whose store is its own."""
    folder = tmp_path / "ns1"
    folder.mkdir()
    return Server(folder, workers=1)


def test_drains_hold_without_a_shared_store(tmp_path: Path, server: Server) -> None:
    """Soon after the server has them, by its events; a server that is away holds nothing up, the next one is asked."""
    nobody = f"http://127.0.0.1:{free_port()}"
    try:
        server.start()
        with a_running_router(tmp_path / "router", source=by_server(nobody, server.url)) as router:
            assert router.nodes() == EDGES
            assert drain(server, "edge-1").status == 200
            wait_until(lambda: "edge-1" not in router.nodes(20), "the drain holds")
            assert drain(server, "edge-2", mode="maintenance", force=True).status == 200
            wait_until(lambda: router.nodes(20) == {"edge-3"}, "the second drain holds")
            server.kill()
            wait_until(lambda: bool(router.get("/readyz").document["problems"]), "the router tells of the outage")
            assert router.nodes() == {"edge-3"}
            server.start()
            assert undrain(server, "edge-1").status == 200
            wait_until(lambda: router.nodes(20) == {"edge-1", "edge-3"}, "the release is known")
            assert router.stop() == 0
    finally:
        server.close()


def test_all_that_is_drained_is_told(tmp_path: Path, server: Server) -> None:
    """503 with who drained what and why, which may be asked again; a fallback to a URL is answered and counted."""
    more = '\n[[role]]\nname = "ingest"\nfallback = "url:https://example.org/sorry"\nredirect = true\nurl = "rtmp://{address}/"'
    try:
        server.start()
        with a_running_router(tmp_path / "router", source=by_server(server.url), more=more) as router:
            for node in (*EDGES, "ingest-1", "ingest-2"):
                assert drain(server, node, force=True).status == 200
            wait_until(lambda: router.get("/route/edge").status == 503, "all are drained")
            answer = router.get("/route/edge?key=1")
            assert (answer.kind, answer.document["id"], answer.retry_after) == (
                "application/problem+json", "all-drained", "5",
            )  # fmt: skip
            assert {(each["node"], each["holder"], each["reason"]) for each in answer.document["drains"]} == {
                (node, "ops", "a test") for node in EDGES
            }
            assert router.post({"role": "edge"}).document["id"] == "all-drained"
            wait_until(lambda: "sorry" in (router.get("/route/ingest").location or ""), "all are drained")
            assert router.get("/route/ingest?redirect=0").document["reason"] == "fallback-url"
            metrics = router.get("/metrics").document
            assert 'dnsd_router_fallbacks_total{fallback="url",role="ingest"}' in metrics
            assert 'dnsd_router_routes_total{outcome="all-drained",role="edge"}' in metrics
            assert 'dnsd_router_nodes{role="edge",state="out"} 3.0' in metrics
    finally:
        server.close()


def test_an_address_that_is_taken_ends_the_router(tmp_path: Path) -> None:
    """Exit status 1, and one line that names it."""
    router = RouterProcess(tmp_path / "router", source=by_server("http://127.0.0.1:1"))
    with socket.create_server(("127.0.0.1", router.port)):
        assert router.launch().wait(PATIENCE_SECONDS) == 1
    assert router.said().count("\n") == 1
    assert f"dnsd: the router cannot listen on 127.0.0.1:{router.port}: Address already in use" in router.said()
