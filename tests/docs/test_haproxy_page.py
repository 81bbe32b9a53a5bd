"""What the page on HAProxy shows, run with a real HAProxy: its configurations as they are printed."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of
from tests.docs.example import ROOT
from tests.support.calls import http
from tests.support.haproxy import HaProxy, Session, asked, greeters
from tests.support.servers import PATIENCE_SECONDS, Server, free_port, wait_until

PAGE = ROOT / "docs" / "integrations" / "haproxy.md"
NODES = {"edge-1": "127.0.0.11", "edge-2": "127.0.0.12"}
NODE = '[[node]]\nid = "{name}"\naddresses = ["{address}"]\nroles = ["edge"]\nmonitor = "agent"\n\n'

# New sessions go to servers in turn, so that this many come to each that takes any. Unit: sessions.
SESSIONS = 6

_sequence = itertools.count(1)


class World:
    """dnsd and two nodes, for the page's configurations with the addresses and paths that they have here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.admin, self.state = folder / "admin.sock", folder / "server-state"
        self.port, self.srv_port, self.agent_port, self.node_port = (free_port() for _ in range(4))
        self.server = Server(folder, fleet={}, workers=1)
        nodes = "".join(NODE.format(name=name, address=address) for name, address in NODES.items())
        tables = "\n".join(map(self.put, blocks_of(PAGE, "toml")))
        self.server.config.write_text(self.server.config.read_text() + nodes + tables)

    def put(self, text: str) -> str:
        """Return a text of the page as it has to be here."""
        for given, here in (
            ("/run/haproxy/admin.sock", str(self.admin)),
            ("/var/lib/haproxy/server-state", str(self.state)),
            ("127.0.0.1:8080", f"127.0.0.1:{self.port}"),
            ("127.0.0.1:8081", f"127.0.0.1:{self.srv_port}"),
            ("127.0.0.1:5300", f"127.0.0.1:{self.server.dns_port}"),
            ("127.0.0.1:5380", f"127.0.0.1:{self.agent_port}"),
            ("agent-port 5380", f"agent-port {self.agent_port}"),
            ("192.0.2.", "127.0.0."),
            (":443", f":{self.node_port}"),
            ("port = 443", f"port = {self.node_port}"),
        ):
            text = text.replace(given, here)
        return text

    def report(self, name: str, health: str) -> None:
        """Say as a node's agent how it is."""
        body = {
            "sequence": next(_sequence),
            "observed_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "health": {"edge": health},
            "sessions": {},
        }
        assert http(self.server, "POST", f"/v1/nodes/{name}/report", body)[0] == 200

    def start(self) -> None:
        """Start dnsd, with both nodes up."""
        self.server.start()
        for name in NODES:
            self.report(name, "up")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("haproxy"))
    with greeters(NODES, world.node_port):
        try:
            world.start()
            yield world
        finally:
            world.server.close()


@pytest.fixture
def proxy(world: World) -> Iterator[HaProxy]:
    """HAProxy with the page's first configuration, which has found both nodes up."""
    proxy = HaProxy(world.folder, world.admin)
    try:
        world.state.unlink(missing_ok=True)
        proxy.load(world.put(blocks_of(PAGE, "haproxy")[0]))
        wait_until(lambda: all("agent : up" in each["last_agt"] for each in proxy.servers().values()), "both are up")
        yield proxy
    finally:
        proxy.close()


def becomes(proxy: HaProxy, server: str, status: str) -> None:
    """Wait until a server has a status."""
    wait_until(lambda: proxy.status(server) == status, f"{server} is {status}: {proxy.servers().get(server)}")


@pytest.fixture
def session_on(world: World) -> Iterator[Callable[..., Session]]:
    """Open sessions until one comes to a node, and return that."""
    opened: list[Session] = []

    def find(node: str, *, port: int = world.port) -> Session:
        for _ in range(SESSIONS):
            opened.append(Session(port))
            if opened[-1].node == node:
                return opened[-1]
        raise AssertionError(f"no session comes to {node}: {[each.node for each in opened]}")

    yield find
    for each in opened:
        each.close()


def test_a_drain_and_maintenance_reach_haproxy_and_go_again(
    world: World, proxy: HaProxy, session_on: Callable[..., Session]
) -> None:
    """Sessions live on, new ones go elsewhere; a release brings the node back without a hand on HAProxy."""
    session = session_on("edge-1")
    world.server.cli("drain", "edge-1", "--reason", "kernel")
    becomes(proxy, "edge-1", "DRAIN (agent)")
    assert "draining by" in proxy.servers()["edge-1"]["last_agt"]
    assert "kernel" in proxy.servers()["edge-1"]["last_agt"]
    assert asked(world.port, times=SESSIONS) == {"edge-2"}
    assert session.lives()

    world.server.cli("drain", "edge-1", "--reason", "disk", "--mode", "maintenance")
    becomes(proxy, "edge-1", "MAINT")
    assert asked(world.port, times=SESSIONS) == {"edge-2"}
    assert session.lives()

    world.server.cli("undrain", "edge-1", "--ramp", "10h")
    becomes(proxy, "edge-1", "UP")
    wait_until(lambda: proxy.servers()["edge-1"]["weight"] == "10", "it has a tenth of its weight")
    world.server.cli("undrain", "edge-1")
    wait_until(lambda: proxy.servers()["edge-1"]["weight"] == "100", "it has all of its weight")
    assert asked(world.port, times=SESSIONS) == {"edge-1", "edge-2"}
    assert session.lives()


def test_health_reaches_haproxy_and_it_fails_open_as_answers_do(world: World, proxy: HaProxy) -> None:
    """A node that is down gets nothing, unless all are; a drained one gets nothing even then."""
    world.report("edge-1", "down")
    becomes(proxy, "edge-1", "DOWN (agent)")
    assert "(health down)" in proxy.servers()["edge-1"]["last_agt"]
    assert asked(world.port, times=SESSIONS) == {"edge-2"}

    world.report("edge-2", "down")
    becomes(proxy, "edge-1", "UP")
    wait_until(lambda: "nobody serves in edge" in proxy.servers()["edge-2"]["last_agt"], "it says why")
    assert asked(world.port, times=SESSIONS) == {"edge-1", "edge-2"}

    world.server.cli("drain", "edge-1", "--reason", "kernel", "--force")
    wait_until(lambda: "kernel" in proxy.servers()["edge-1"]["last_agt"], "the drain is there")
    assert asked(world.port, times=SESSIONS) == {"edge-2"}

    for name in NODES:
        world.report(name, "up")
    world.server.cli("undrain", "edge-1")
    becomes(proxy, "edge-1", "UP")
    becomes(proxy, "edge-2", "UP")


def test_a_reload_of_haproxy_forgets_nothing(world: World, proxy: HaProxy, session_on: Callable[..., Session]) -> None:
    """By the page's commands the state is there before any check; without them there is the gap that it tells."""
    text = world.put(blocks_of(PAGE, "haproxy")[0])
    unheard = text.replace(f"agent-port {world.agent_port}", f"agent-port {free_port()}")
    save, reload = world.put(blocks_of(PAGE, "sh")[0]).strip().split("\n")
    assert reload == "systemctl reload haproxy"
    session = session_on("edge-1")
    world.server.cli("drain", "edge-2", "--reason", "kernel")
    world.server.cli("undrain", "edge-2", "--ramp", "10h")
    wait_until(lambda: proxy.servers()["edge-2"]["weight"] == "10", "edge-2 has a tenth of its weight")
    for mode, status in (("maintenance", "MAINT"), ("draining", "DRAIN (agent)")):
        world.server.cli("drain", "edge-1", "--reason", "kernel", "--mode", mode)
        becomes(proxy, "edge-1", status)
        subprocess.run(["sh", "-ec", save], check=True, timeout=PATIENCE_SECONDS)
        proxy.load(unheard)
        assert proxy.status("edge-1").split()[0] == status.split()[0]
        assert proxy.servers()["edge-2"]["weight"] == "10"
        assert asked(world.port, times=SESSIONS) == {"edge-2"}
        proxy.load(text)
    world.server.cli("undrain", "edge-2")

    world.state.unlink()
    proxy.load(unheard)
    assert proxy.status("edge-1").startswith("UP")
    proxy.load(text)
    becomes(proxy, "edge-1", "DRAIN (agent)")
    assert asked(world.port, times=SESSIONS) == {"edge-2"}

    # What came from a file is no decision of its own: dnsd's word counts as soon as it is heard. A server that it does
    # not know stays as HAProxy has it.
    subprocess.run(["sh", "-ec", save], check=True, timeout=PATIENCE_SECONDS)
    world.server.cli("undrain", "edge-1")
    proxy.load(text + f'    server edge-9 127.0.0.12:{world.node_port} agent-send "edge/edge-9\\n"\n')
    becomes(proxy, "edge-1", "UP")
    wait_until(lambda: "unknown-node" in proxy.servers()["edge-9"]["last_agt"], "HAProxy shows the word")
    assert proxy.status("edge-9").startswith("UP")
    assert asked(world.port, times=SESSIONS) == {"edge-1", "edge-2"}
    assert session.lives()


def sent(proxy: HaProxy) -> int:
    """Return how many questions it has asked of dnsd."""
    found = re.search(r"Resolvers section dnsd\n.*\n +sent: +(\d+)", proxy.ask("show resolvers"))
    assert found is not None
    return int(found[1])


def test_servers_come_from_srv_records(world: World, session_on: Callable[..., Session]) -> None:
    """A drained node leaves, its sessions live on, and it comes back; an end of all of dnsd takes no server out."""
    proxy = HaProxy(world.folder, world.admin)
    text = world.put(blocks_of(PAGE, "haproxy")[1])

    def serving() -> set[str]:
        found = (each["addr"] for each in proxy.servers().values() if each["status"] == "UP")
        return {address.partition(":")[0] for address in found}

    try:
        proxy.load(f"global\n    stats socket {world.admin} level admin\n\n{text}")
        wait_until(lambda: serving() == set(NODES.values()), f"both serve: {proxy.servers()}")
        session = session_on("edge-1", port=world.srv_port)
        world.server.cli("drain", "edge-1", "--reason", "kernel")
        wait_until(lambda: serving() == {NODES["edge-2"]}, "the drained node has left")
        assert asked(world.srv_port, times=SESSIONS) == {"edge-2"}
        assert session.lives()
        world.server.cli("undrain", "edge-1")
        wait_until(lambda: serving() == set(NODES.values()), "it is back")

        world.server.close()
        before = sent(proxy)
        wait_until(lambda: sent(proxy) >= before + 3, "it asks in vain")
        assert serving() == set(NODES.values())
        assert asked(world.srv_port, times=SESSIONS) == set(NODES)
        world.start()
    finally:
        proxy.close()


def test_haproxy_keeps_what_it_knows_while_dnsd_is_gone(world: World, proxy: HaProxy) -> None:
    """The control process is killed: a drained server stays drained, and follows again when dnsd is back."""
    world.server.cli("drain", "edge-1", "--reason", "kernel")
    becomes(proxy, "edge-1", "DRAIN (agent)")
    world.server.kill()
    wait_until(lambda: proxy.servers()["edge-1"]["agent_status"] == "L4CON", "checks fail")
    wait_until(lambda: proxy.servers()["edge-2"]["agent_status"] == "L4CON", "checks fail")
    assert {name: proxy.status(name) for name in NODES} == {"edge-1": "DRAIN (agent)", "edge-2": "UP"}
    assert asked(world.port, times=SESSIONS) == {"edge-2"}
    world.start()
    world.server.cli("undrain", "edge-1")
    becomes(proxy, "edge-1", "UP")
