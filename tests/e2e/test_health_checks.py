"""A real server that checks real listeners: what stops answering leaves the answers, and comes back with them."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import Server, free_port, serving, wait_until

ADDRESSES = {"a": "127.0.0.1", "b": "127.0.0.2", "c": "127.0.0.3"}
FLEET = {name: ([address], ["edge"], "eu") for name, address in ADDRESSES.items()}
POOL = "edge.example.org"
ALL = set(ADDRESSES.values())
CHECK_LOCAL = "[health]\ncheck_local = true\n"


class Page(http.server.BaseHTTPRequestHandler):
    """Says that it is fine, whatever is asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"fine")

    def log_message(self, *_: object) -> None:
        pass


class Farm:
    """Web servers on one port of several addresses, which come and go."""

    def __init__(self) -> None:
        self.port = free_port()
        self._servers: dict[str, tuple[http.server.ThreadingHTTPServer, threading.Thread]] = {}

    def open(self, *names: str) -> None:
        for name in names:
            server = http.server.ThreadingHTTPServer((ADDRESSES[name], self.port), Page)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            self._servers[name] = server, thread

    def close(self, *names: str) -> None:
        for name in names or tuple(self._servers):
            server, thread = self._servers.pop(name)
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture
def farm() -> Iterator[Farm]:
    found = Farm()
    found.open(*ADDRESSES)
    try:
        yield found
    finally:
        found.close()


def check_text(farm: Farm, *, port: int | None = None, interval: str = "100ms") -> str:
    return (
        f'[[check]]\nroles = ["edge"]\ntype = "http"\nport = {port or farm.port}\npath = "/healthz"\nbody = "fine"\n'
        f'interval = "{interval}"\n'
    )


@pytest.fixture
def server(tmp_path: Path, farm: Farm) -> Iterator[Server]:
    own = Server(tmp_path, store="sqlite", workers=1, fleet=FLEET, more=CHECK_LOCAL + check_text(farm))
    own.config.write_text(own.config.read_text().replace('region = "eu"\n', 'region = "eu"\nmonitor = "check"\n', 3))
    try:
        own.start()
        answered(own, ALL)
        wait_until(lambda: tier(own) == "serving", "the first results are there")
        yield own
    finally:
        own.close()


def answered(server: Server, addresses: set[str]) -> None:
    wait_until(lambda: server.addresses(POOL) == addresses, f"{POOL} is answered with {addresses}")


def pool_of(server: Server) -> dict[str, object]:
    found: dict[str, object] = next(each for each in server.cli("pools")["items"] if each["owner"] == f"{POOL}.")
    return found


def tier(server: Server) -> object:
    return pool_of(server)["tier"]


def test_what_stops_answering_leaves_the_answers_and_comes_back(server: Server, farm: Farm) -> None:
    """With the reason in what operators look at, and the tries in the metrics."""
    farm.close("b")
    answered(server, ALL - {"127.0.0.2"})
    said = f"check http 127.0.0.2:{farm.port}/healthz: refused, "
    for command in (("nodes",), ("pools",), ("explain", POOL)):
        assert said in server.run(*command).stdout, command
    assert 'dnsd_check_targets{state="down"} 1.0' in server.get("/metrics")
    assert 'dnsd_checks_total{result="refused",type="http"}' in server.get("/metrics")
    assert "127.0.0.2" in server.addresses("b.nodes.example.org")
    farm.open("b")
    answered(server, ALL)


def test_where_all_are_down_the_drained_one_stays_out(server: Server, farm: Farm) -> None:
    """The pool fails open to the others."""
    server.cli("drain", "a", "--reason", "kernel", "--force", "--wait", "applied")
    answered(server, ALL - {"127.0.0.1"})
    farm.close()
    wait_until(lambda: tier(server) == "unhealthy", "the pool fails open")
    assert server.addresses(POOL) == ALL - {"127.0.0.1"}


def test_a_reload_changes_checks_and_keeps_what_is_known(server: Server, farm: Farm) -> None:
    """Tried less often, a node that is down stays so; at a port where nobody listens all are, until that changes."""
    farm.close("b")
    answered(server, ALL - {"127.0.0.2"})
    text = server.config.read_text()
    server.config.write_text(text.replace(check_text(farm), check_text(farm, interval="150ms")))
    server.reload()
    assert server.addresses(POOL) == ALL - {"127.0.0.2"}
    server.config.write_text(text.replace(check_text(farm), check_text(farm, port=free_port())))
    server.reload()
    wait_until(lambda: tier(server) == "unhealthy", "the other port is tried")
    server.config.write_text(text)
    server.reload()
    answered(server, ALL - {"127.0.0.2"})
    farm.open("b")
    answered(server, ALL)


def test_a_node_may_register_with_checks(server: Server, farm: Farm) -> None:
    """It is answered when its first try has succeeded."""
    farm.close("c")
    answered(server, ALL - {"127.0.0.3"})
    body = json.dumps({"addresses": ["127.0.0.1"], "roles": ["edge"], "monitor": "check"}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}/v1/nodes/d", body, headers, method="PUT")
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.status in (200, 201)
    wait_until(lambda: pool_of(server)["serving"] == 3, "the new node serves")
    assert server.addresses(POOL) == ALL - {"127.0.0.3"}


def test_a_stop_with_checks_under_way_is_clean(tmp_path: Path) -> None:
    """One that swallows everything holds up nothing, and nothing is complained of."""
    with serving(tmp_path, store="memory", workers=1, fleet={"a": (["192.0.2.1"], ["edge"], "eu")}) as server:
        more = '[[check]]\nroles = ["edge"]\ntype = "tcp"\nport = 9\n'
        text = server.config.read_text().replace('region = "eu"\n', 'region = "eu"\nmonitor = "check"\n', 1)
        server.config.write_text(text + more)
        server.reload()
        assert server.stop() == 0
        assert "Traceback" not in server.said()
