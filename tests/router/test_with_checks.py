"""A real router beside real servers on one Redis: what their checks find, it names no more."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.router.processes import RouterProcess, a_running_router, by_store
from tests.support.background import Background
from tests.support.redis import RedisServer, redis_server
from tests.support.redis_fleet import start_all
from tests.support.servers import Server, free_port, wait_until

ADDRESSES = {"a": "127.0.0.1", "b": "127.0.0.2", "c": "127.0.0.3"}
FLEET = {name: ([address], ["edge"], "eu") for name, address in ADDRESSES.items()}
ALL = set(ADDRESSES)

# Enough for each node to be named.
KEYS = 20


class Farm:
    """Listeners on one port of several addresses, which come and go."""

    def __init__(self) -> None:
        self.port = free_port()
        self._listeners: dict[str, socket.socket] = {}

    def open(self, *names: str) -> None:
        """Have nodes take connections."""
        for name in names:
            self._listeners[name] = socket.create_server((ADDRESSES[name], self.port), backlog=1000)

    def close(self, *names: str) -> None:
        """Have nodes refuse connections: all, where none is named."""
        for name in names or tuple(self._listeners):
            self._listeners.pop(name).close()


class Watcher(Background):
    """Asks a router all the while, and notes the answers that name a node which is known to be dead.

    Attributes:
        asked: so many answers were there.
        wrong: the answers that named it.
    """

    def __init__(self, router: RouterProcess, dead: str) -> None:
        super().__init__()
        self.asked = 0
        self.wrong: list[str] = []
        self._router = router
        self._dead = dead

    def _run(self) -> None:
        while not self._ended.is_set():
            key = f"watched-{self.asked}"
            if self._router.node(key) == self._dead:
                self.wrong.append(key)
            self.asked += 1

    def go_on(self) -> None:
        """Wait for some more answers."""
        enough = self.asked + KEYS
        wait_until(lambda: self.asked >= enough, "the router is asked")


@pytest.fixture
def farm() -> Iterator[Farm]:
    """Nodes that all take connections."""
    found = Farm()
    found.open(*ADDRESSES)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def checking_servers(folder: Path, url: str, farm: Farm) -> Iterator[list[Server]]:
    """Run `ns1` and `ns2` on a store, which check the nodes for themselves."""
    check = f'[[check]]\nroles = ["edge"]\ntype = "tcp"\nport = {farm.port}\ninterval = "100ms"\nfall = 2\n'
    servers: list[Server] = []
    try:
        for name in ("ns1", "ns2"):
            own = folder / name
            own.mkdir()
            server = Server(own, id=name, store=url, workers=1, fleet=FLEET, more=check)
            text = server.config.read_text()
            server.config.write_text(text.replace('region = "eu"\n', 'region = "eu"\nmonitor = "check"\n', len(ALL)))
            servers.append(server)
        start_all(servers)
        yield servers
    finally:
        for server in servers:
            server.close()


def tells(redis: RedisServer) -> set[str]:
    """Return the servers that tell of their checks."""
    return set(redis.cli("hkeys", "{dnsd}:checked").split())


def test_what_servers_find_by_checks_reaches_a_router(tmp_path: Path, farm: Farm) -> None:
    """A node that refuses connections is named no more until it is back, whatever becomes of Redis and a server."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(tmp_path / "redis", append_only=True))
        servers = stack.enter_context(checking_servers(tmp_path, redis.url, farm))
        wait_until(lambda: tells(redis) == {"ns1", "ns2"}, "both servers tell of their checks")
        router = stack.enter_context(a_running_router(tmp_path / "router", source=by_store(redis.url)))
        wait_until(lambda: router.nodes(KEYS) == ALL, "the router knows the fleet")

        farm.close("b")
        wait_until(lambda: router.nodes(KEYS) == ALL - {"b"}, "the router has heard that b is down")
        with Watcher(router, "b") as watcher:
            servers[0].kill()
            watcher.go_on()
            redis.kill()
            watcher.go_on()
            redis.start()
            wait_until(lambda: router.get("/readyz").document["problems"] == [], "the router is back")
            redis.cli("flushdb")
            wait_until(lambda: tells(redis) == {"ns2"}, "the server that is left tells it again")
            watcher.go_on()
        assert watcher.wrong == []

        farm.open("b")
        wait_until(lambda: router.nodes(KEYS) == ALL, "the router has heard that b is up")
        assert servers[1].stop() == 0
        assert tells(redis) == set()
        assert router.nodes(KEYS) == ALL
