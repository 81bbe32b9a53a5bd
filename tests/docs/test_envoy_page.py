"""What the page on Envoy shows: its bootstrap, read by Envoy's own definitions, and its requests to a real server."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.config_source_pb2 import ApiConfigSource, ApiVersion
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from google.protobuf import json_format

from tests.adapters.envoy.reading import parsed, request_of
from tests.docs.blocks import blocks_of
from tests.docs.example import ROOT
from tests.support.servers import PATIENCE_SECONDS, Server, free_port, wait_until

PAGE = ROOT / "docs" / "integrations" / "envoy.md"
PORT = "5390"

# The monitor of nodes in a configuration is none, so that all of them serve.
EVERYBODY = {"edge-1": "HEALTHY", "edge-2": "HEALTHY", "edge-3": "HEALTHY"}


def block(language: str) -> str:
    """Return the page's only block of code in a language."""
    (found,) = blocks_of(PAGE, language)
    return found


def test_the_bootstrap_is_one_to_envoy() -> None:
    """Every field is one of Envoy's, and it asks dnsd, where the page has it, for the endpoints of a role over REST."""
    bootstrap = json_format.Parse(block("json"), Bootstrap())
    clusters = {each.name: each for each in bootstrap.static_resources.clusters}
    edge, dnsd = clusters["edge"], clusters["dnsd"]
    assert edge.type == Cluster.EDS
    assert edge.common_lb_config.HasField("healthy_panic_threshold")
    assert edge.common_lb_config.healthy_panic_threshold.value == 0
    source = edge.eds_cluster_config.eds_config
    assert (source.resource_api_version, source.api_config_source.transport_api_version) == (ApiVersion.V3,) * 2
    assert source.api_config_source.api_type == ApiConfigSource.REST
    assert list(source.api_config_source.cluster_names) == ["dnsd"]
    assert source.api_config_source.refresh_delay.seconds == 1
    (locality,) = dnsd.load_assignment.endpoints
    asked = locality.lb_endpoints[0].endpoint.address.socket_address
    assert f"{asked.address}:{asked.port_value}" == tomllib.loads(block("toml"))["envoy"]["listen"]
    assert bootstrap.node.id
    assert bootstrap.node.cluster
    proxy = TcpProxy()
    assert bootstrap.static_resources.listeners[0].filter_chains[0].filters[0].typed_config.Unpack(proxy)
    assert proxy.cluster == "edge"


def test_the_requests_of_the_page_follow_a_drain(tmp_path: Path) -> None:
    """A real server answers the page's command, marks a drained node, and says 304 while all stays, over a restart."""
    server = Server(tmp_path, workers=1)
    port = free_port()
    command = block("sh").replace(f":{PORT}", f":{port}")
    server.config.write_text(server.config.read_text() + block("toml").replace(f":{PORT}", f":{port}"))
    known: dict[str, Any] = {}

    def curl(command: str) -> str:
        done = subprocess.run(
            ["bash", "-ec", command], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
        )
        return done.stdout

    def status(version: str) -> str:
        """Ask as the page does, as somebody who has a version, and return the status of HTTP."""
        request = request_of("edge", version=version).decode()
        asked = re.sub(r"-d '.*'", lambda _: f"-d '{request}' -o /dev/null -w '%{{http_code}}'", command)
        assert asked != command
        return curl(asked)

    def statuses() -> dict[str, str]:
        version, clusters = parsed(curl(command))
        known["version"] = version
        return {each.node: each.status for each in clusters["edge"]}

    try:
        server.start()
        assert statuses() == EVERYBODY
        first = known["version"]
        server.cli("drain", "edge-1", "--reason", "kernel")
        wait_until(lambda: statuses() == {**EVERYBODY, "edge-1": "DRAINING"}, "the drain is there")
        assert status(first) == "200"
        assert status(known["version"]) == "304"
        server.stop()
        server.start()
        assert status(known["version"]) == "304"
        server.cli("undrain", "edge-1")
        wait_until(lambda: statuses() == EVERYBODY, "the node is back")
        assert known["version"] == first
        assert 'dnsd_adapter_requests_total{adapter="envoy",result="ok"}' in server.get("/metrics")
    finally:
        server.close()
