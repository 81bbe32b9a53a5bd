"""The page on Prometheus: its configuration, as printed, against a real Prometheus and a real server."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dnsd.adapters.prometheus.targets import PREFIX
from tests.docs.blocks import blocks_of, replaced
from tests.docs.example import ROOT
from tests.support.prometheus import Prometheus, promtool, running_prometheus
from tests.support.servers import Server, free_port, serving, wait_until

PAGE = ROOT / "docs" / "integrations" / "prometheus.md"
RULES = ROOT / "deploy" / "prometheus" / "dnsd-alerts.yml"
VIEWER, OPERATOR = "viewer-token-of-a-test", "operator-token-of-a-test"
FLEET = {f"edge-{place}": ([f"127.0.0.{place + 10}"], ["edge"], "eu") for place in (1, 2, 3)}


@dataclass
class World:
    """A server, a Prometheus with the page's files, and their folder."""

    server: Server
    prometheus: Prometheus
    folder: Path

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return the targets of the nodes, by node."""
        return {each["labels"]["node"]: each for each in self.prometheus.targets("nodes")}

    def modes(self) -> dict[str, str]:
        return {node: each["labels"]["mode"] for node, each in self.nodes().items()}


def _token(name: str, scope: str, token: str) -> str:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return f'\n[[admin.token]]\nname = "{name}"\nscope = "{scope}"\nsha256 = "{digest}"\n'


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Have both run, the configuration of each from the page."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    more = replaced(blocks_of(PAGE, "toml")[0], {"127.0.0.1:9181": f"127.0.0.1:{port}"})
    tokens = _token("prometheus", "viewer", VIEWER) + _token("alice", "operator", OPERATOR)
    with (
        serving(tmp_path_factory.mktemp("dnsd"), fleet=FLEET, workers=1, more=more, admin_more=tokens) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("DNSD_TOKEN", OPERATOR)
        # The intervals as well: a test has no time.
        ports = {
            "127.0.0.1:9181": f"127.0.0.1:{port}",
            "127.0.0.1:8053": f"127.0.0.1:{server.admin_port}",
            ": 15s": ": 1s",
        }
        scraping, alerting = blocks_of(PAGE, "yaml")
        (folder / "prometheus.yml").write_text(replaced(scraping, ports))
        (folder / "nodes.yml").write_text(alerting)
        (folder / "dnsd.token").write_text(VIEWER)
        shutil.copy(RULES, folder)
        promtool("check", "config", "prometheus.yml", folder=folder)
        with running_prometheus(folder) as prometheus:
            yield World(server, prometheus, folder)


def test_a_drained_node_stays_a_target_and_says_so(world: World) -> None:
    """The real Prometheus lists each node with its labels; a drain changes the label of its node, an undrain again."""
    wait_until(lambda: world.modes() == dict.fromkeys(FLEET, "normal"), "the nodes are targets")
    world.server.cli("drain", "edge-2", "--reason", "new kernel", "--mode", "maintenance")
    wait_until(lambda: world.modes().get("edge-2") == "maintenance", "the drain is there")
    target = world.nodes()["edge-2"]
    assert target["scrapeUrl"] == "http://127.0.0.12:9100/metrics"
    assert {key: target["labels"][key] for key in ("role", "region")} == {"role": "edge", "region": "eu"}
    discovered = {key.removeprefix(PREFIX): value for key, value in target["discoveredLabels"].items()}
    assert (discovered["drain_reason"], discovered["drain_holder"]) == ("new kernel", "alice")
    assert world.modes() == {"edge-1": "normal", "edge-2": "maintenance", "edge-3": "normal"}


def test_the_servers_own_metrics_are_scraped_with_a_token(world: World) -> None:
    """The page's second job is up, and joins with the first as the page says: the drained node is left alone."""
    world.server.cli("drain", "edge-2", "--reason", "new kernel", "--mode", "maintenance")
    wait_until(lambda: [each["health"] for each in world.prometheus.targets("dnsd")] == ["up"], "dnsd is scraped")
    (_, alerting) = blocks_of(PAGE, "yaml")
    expressions = re.findall(r"expr: (.+)", alerting)
    for expression in expressions:

        def found(expression: str = expression) -> set[str]:
            return {each["metric"]["node"] for each in world.prometheus.ask("query", query=expression)["result"]}

        # No exporter runs on these nodes, so that all are down.
        wait_until(lambda found=found: found() == {"edge-1", "edge-3"}, expression)  # type: ignore[misc]


def test_the_rules_work_on_a_real_scrape(world: World) -> None:
    """Each is evaluated without an error, of metrics that are in the scrape, and is silent on a server that is well.

    But for pools that have no nodes at all: these do serve less than their floors.
    """
    listed = re.findall(r"- alert: (\w+)", RULES.read_text())

    def rules() -> dict[str, dict[str, Any]]:
        groups = world.prometheus.ask("rules")["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    wait_until(lambda: {rule["health"] for rule in rules().values()} == {"ok"}, "each rule has been evaluated")
    assert set(listed) <= rules().keys()
    names = set(re.findall(r"\bdnsd_\w+", "".join(rules()[name]["query"] for name in listed)))
    assert len(names) > 10
    assert [name for name in sorted(names) if not world.prometheus.ask("targets/metadata", metric=name)] == []

    def true() -> dict[str, set[str]]:
        found = {name: world.prometheus.ask("query", query=rules()[name]["query"])["result"] for name in listed}
        return {name: {each["metric"].get("pool", "") for each in result} for name, result in found.items() if result}

    empty = {"ingest.example.org.", "us.edge.example.org."}
    wait_until(lambda: true() == {"DnsdPoolFloorBroken": empty}, "nothing else is true of a server that is well")


def test_the_page_lists_the_alerts_and_the_labels() -> None:
    """Each alert of the file is in the page's table, and each label that the adapter gives."""
    text = PAGE.read_text()
    assert re.findall(r"^\| `(Dnsd\w+)` \|", text, re.MULTILINE) == re.findall(r"- alert: (\w+)", RULES.read_text())
    source = (ROOT / "dnsd" / "adapters" / "prometheus" / "targets.py").read_text()
    labels = {name if "{" not in name else "label_<key>" for name in re.findall(r'yield f?"([^"]+)"', source)}
    assert set(re.findall(rf"`{PREFIX}([\w<>]+)`", text)) == labels


def test_targets_stay_while_the_server_is_away(world: World) -> None:
    """Prometheus keeps the list that it had; the last test here, as it ends the server."""
    wait_until(lambda: world.modes().keys() == FLEET.keys(), "the nodes are targets")
    before = world.modes()
    world.server.stop()
    wait_until(lambda: "Unable to refresh target groups" in world.prometheus.log.read_text(), "a refresh fails")
    assert world.modes() == before
