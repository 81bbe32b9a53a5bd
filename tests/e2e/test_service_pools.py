"""Pools of SRV and HTTPS records, asked by `dig` and drained by `dnsd`."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import Server, serving, wait_until

POOLS = """
[[pool]]
name = "_rtmp._tcp"
zone = "Example.org"
type = "srv"
role = "ingest"
port = 1935

[[pool]]
name = "web"
zone = "example.org"
role = "edge"
match = { region = "us" }
https = { alpn = ["h2", "h3"] }
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, more=POOLS) as server:
        yield server


def test_srv_records_follow_a_drain(fleet: Server) -> None:
    """The node leaves the records and keeps its name; who has cached one is waited for, and `dnsd` shows the pool."""
    name = "_rtmp._tcp.example.org"
    first, second = (f"0 100 1935 ingest-{number}.nodes.example.org." for number in (1, 2))
    assert sorted(fleet.dig(name, "SRV", "+short").splitlines()) == [first, second]
    fleet.cli("drain", "ingest-1", "--reason", "disk", "--wait", "applied")
    assert fleet.dig(name, "SRV", "+short").splitlines() == [second]
    assert fleet.dig("ingest-1.nodes.example.org", "+short").split() == ["192.0.2.21"]
    [blocker] = fleet.cli("status", "ingest-1")["blockers"]
    assert blocker.startswith("ingest: caches may still answer with it for ")
    told = fleet.cli("explain", name, "SRV")
    assert (told["pools"][0]["type"], told["steps"][0]["pool"]) == ("srv", f"{name}.")
    [pool] = [each for each in fleet.cli("pools")["items"] if each["owner"] == f"{name}."]
    assert (pool["type"], pool["answers"], pool["serving"]) == ("srv", [second], 1)
    assert f"pool {name}.: type srv, role ingest" in fleet.run("explain", name, "SRV").stdout


def test_an_https_record_stands_beside_addresses(fleet: Server) -> None:
    """With hints at the same nodes; without any, both are NODATA."""
    text = fleet.dig("web.example.org", "HTTPS", "+noall", "+answer")
    assert text.split()[3:] == ["HTTPS", "1", ".", 'alpn="h2,h3"', "ipv4hint=192.0.2.13"]
    assert fleet.dig("web.example.org", "A", "+short").split() == ["192.0.2.13"]
    fleet.cli("drain", "edge-3", "--reason", "fans", "--force", "--wait", "applied")
    for rdtype in ("HTTPS", "A"):
        assert fleet.dig("web.example.org", rdtype, "+short").split() == []
        assert "status: NOERROR" in fleet.dig("web.example.org", rdtype)


def test_a_node_that_registers_brings_its_own_port(fleet: Server) -> None:
    """Its record has what it said of itself."""
    node = {"addresses": ["192.0.2.77"], "roles": ["ingest"], "monitor": "none", "priority": 4}
    body = json.dumps({**node, "ports": {"ingest": 1999}}).encode()
    url = f"{fleet.url}/v1/nodes/late"
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method="PUT"), timeout=10) as answer:
        assert json.load(answer)["node"]["ports"] == {"ingest": 1999}
    record = "4 100 1999 late.nodes.example.org."
    wait_until(lambda: record in fleet.dig("_rtmp._tcp.example.org", "SRV", "+short"), "the node is answered")
