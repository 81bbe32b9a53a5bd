"""The page on Consul: what it prints, against a real server, by a real client of Consul."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import consul
import pytest

from tests.docs.blocks import blocks_of, replaced
from tests.docs.example import ROOT
from tests.support.servers import PATIENCE_SECONDS, Server, free_port, serving

PAGE = ROOT / "docs" / "integrations" / "consul.md"
FLEET = {f"edge-{place}": ([f"127.0.0.{place + 10}"], ["edge", "ingest"], "eu") for place in (1, 2, 3)}
ALL = {"127.0.0.11", "127.0.0.12", "127.0.0.13"}


@dataclass
class World:
    """A server with the page's table."""

    server: Server
    port: int

    def printed(self, language: str) -> str:
        """Return the page's block of a language, with the port that is used here."""
        return replaced(blocks_of(PAGE, language)[0], {"8500": str(self.port)})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Have the server run."""
    port = free_port()
    more = replaced(blocks_of(PAGE, "toml")[0], {"8500": str(port)})
    with serving(tmp_path_factory.mktemp("dnsd"), fleet=FLEET, workers=1, more=more) as server:
        yield World(server, port)


@pytest.fixture
def undrained(world: World) -> Iterator[World]:
    """Leave nothing drained."""
    yield world
    for drain in world.server.cli("drains")["items"]:
        world.server.cli("undrain", drain["node"], "--holder", drain["holder"])


def test_the_script_of_the_page_follows_drains(undrained: World, tmp_path: Path) -> None:
    """It prints who serves, and another line with each drain and release, by blocking queries."""
    script = tmp_path / "script.py"
    script.write_text(undrained.printed("python"))
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    lines: Queue[str] = Queue()
    assert process.stdout is not None

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)

    reading = threading.Thread(target=read)
    reading.start()
    try:
        assert set(lines.get(timeout=PATIENCE_SECONDS).split()) == ALL
        undrained.server.cli("drain", "edge-2", "--reason", "new kernel")
        assert set(lines.get(timeout=PATIENCE_SECONDS).split()) == ALL - {"127.0.0.12"}
        undrained.server.cli("undrain", "edge-2")
        assert set(lines.get(timeout=PATIENCE_SECONDS).split()) == ALL
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)
        reading.join(PATIENCE_SECONDS)
        process.stdout.close()


def test_py_consul_reads_every_call(undrained: World) -> None:
    """Its own methods for health, catalog and status, errors included; a write is refused as Consul refuses it."""
    undrained.server.cli("drain", "edge-1", "--reason", "new kernel", "--role", "ingest")
    undrained.server.cli("drain", "edge-3", "--reason", "disk", "--mode", "maintenance")
    client = consul.Consul(host="127.0.0.1", port=undrained.port, dc="dc1", token="unused")
    with client.http.session:
        index, instances = client.health.service("edge", passing=True, tag="region=eu")
        assert {each["Service"]["Address"] for each in instances} == ALL - {"127.0.0.13"}
        assert int(index) > 0
        checks = client.health.node("edge-3")[1]
        maintenance = [(each["CheckID"], each["Notes"]) for each in checks if each["Type"] == "maintenance"]
        assert maintenance == [("_node_maintenance", "disk")]
        critical = {each["CheckID"] for each in client.health.state("critical")[1]}
        assert critical == {"_node_maintenance", "_service_maintenance:edge-1:ingest"}
        assert len(client.health.checks("ingest")[1]) == 4
        assert set(client.catalog.services()[1]) == {"edge", "ingest"}
        assert [each["Node"] for each in client.catalog.nodes()[1]] == sorted(FLEET)
        assert set(client.catalog.node("edge-1")[1]["Services"]) == {"edge-1:edge", "edge-1:ingest"}
        assert len(client.catalog.service("edge")[1]) == 3
        assert client.catalog.datacenters() == ["dc1"]
        assert client.status.leader() == f"127.0.0.1:{undrained.port}"
        assert client.agent.self()["Config"]["Datacenter"] == "dc1"
        with pytest.raises(consul.ACLPermissionDenied, match="nothing can be changed here"):
            client.agent.service.register("edge")
        with pytest.raises(consul.ConsulException, match="No path to datacenter"):
            client.catalog.nodes(dc="dc2")
