"""The manifests of the page on Kubernetes: sound as far as can be told without a cluster, and their commands run."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.update
import pytest
import yaml

from dnsd.model.times import parse_duration
from tests.docs.blocks import blocks_of, replaced
from tests.docs.example import ROOT
from tests.support.servers import PATIENCE_SECONDS, Server, free_port, wait_until

PAGE = ROOT / "docs" / "integrations" / "kubernetes.md"
SERVERS, IN_IMAGE, WITH_AGENT, EXTERNAL_DNS = [list(yaml.safe_load_all(text)) for text in blocks_of(PAGE, "yaml")]
MANIFESTS = [*SERVERS, *IN_IMAGE, *WITH_AGENT]
TEMPLATES = [each["spec"]["template"] for each in MANIFESTS if each["kind"] == "StatefulSet"]

FLEET = {f"media-{number}": ([f"192.0.2.{number + 1}"], ["edge"], "mars") for number in range(3)}


def _containers(template: Any) -> list[Any]:
    return [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]


def _container(documents: list[Any], name: str) -> Any:
    """Return a container of the workload among some documents."""
    template = next(each for each in documents if each["kind"] == "StatefulSet")["spec"]["template"]
    return next(each for each in _containers(template) if each["name"] == name)


def _hook(documents: list[Any], container: str, hook: str) -> list[str]:
    command: list[str] = _container(documents, container)["lifecycle"][hook]["exec"]["command"]
    return command


# --- the manifests --------------------------------------------------------------------------------------------------


def test_each_manifest_is_whole() -> None:
    """Each has a kind and a name, selects its own pods, and a container mounts only volumes that are there."""
    for manifest in MANIFESTS:
        assert manifest["apiVersion"] in ("v1", "apps/v1")
        assert re.fullmatch(r"[a-z-]+", manifest["metadata"]["name"])
        if manifest["kind"] == "StatefulSet":
            spec = manifest["spec"]
            assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
            assert spec["serviceName"] == manifest["metadata"]["name"]
    assert len(TEMPLATES) == 3
    for template in TEMPLATES:
        volumes = {each["name"] for each in template["spec"].get("volumes", ())}
        for container in _containers(template):
            assert {each["name"] for each in container.get("volumeMounts", ())} <= volumes
            ports = {each["containerPort"] for each in container.get("ports", ())}
            for probe in ("livenessProbe", "readinessProbe"):
                assert probe not in container or container[probe]["httpGet"]["port"] in ports


def test_no_pod_has_rights_in_the_cluster() -> None:
    """No manifest asks for a role, and no pod has the token of an account."""
    assert {each["kind"] for each in MANIFESTS} == {"Service", "StatefulSet", "ConfigMap"}
    assert all(template["spec"]["automountServiceAccountToken"] is False for template in TEMPLATES)


def test_the_grace_of_a_pod_is_longer_than_its_hooks_wait() -> None:
    """Kubernetes counts the hook into the grace: what it waits for at most is less."""
    in_image, with_agent = [each["spec"]["terminationGracePeriodSeconds"] for each in TEMPLATES[1:]]
    words = _hook(IN_IMAGE, "media", "preStop")[-1].split()
    assert parse_duration(words[words.index("--timeout") + 1]) < in_image
    template = WITH_AGENT[0]["data"]["agent.toml"]
    deadline = re.search(r'^stop_deadline = "(.*)"$', template, re.MULTILINE)
    assert deadline is not None
    assert parse_duration(deadline[1]) < with_agent


def test_external_dns_is_kept_out_of_the_zone_that_is_delegated() -> None:
    """The zone of the page's delegation is the one that external-dns is to leave alone."""
    args = dict(each.removeprefix("--").split("=", 1) for each in EXTERNAL_DNS[0]["args"])
    assert args["exclude-domains"].endswith(f".{args['domain-filter']}")
    assert f"{args['exclude-domains']}.      NS" in PAGE.read_text()
    assert args["registry"] == "txt"


# --- their commands -------------------------------------------------------------------------------------------------


@dataclass
class Cluster:
    """A server with tokens, and a shell as containers have it."""

    server: Server

    def environment(self, **more: str) -> dict[str, str]:
        """Return a container's environment, with the token of an operator who is called `pods`."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "DNSD_SERVER": self.server.url, "DNSD_TOKEN": "of-pods", **more}

    def run(self, command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
        """Run a container's command to its end."""
        return subprocess.run(
            command, env=self.environment(**env), capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS
        )

    def dnsd(self, *words: str) -> str:
        """Return what a command of dnsd prints."""
        done = self.run(["dnsd", *words])
        assert done.returncode == 0, done.stderr
        return done.stdout


def _token(name: str, secret: str, scope: str) -> str:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return f'[[admin.token]]\nname = "{name}"\nsha256 = "{digest}"\nscope = {scope}\n'


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server whose pools are cached for a second."""
    tokens = _token("pods", "of-pods", '"operator"') + _token(
        "media-7-agent", "of-media-7", '"agent"\nnode = "media-7"'
    )
    server = Server(tmp_path_factory.mktemp("cluster"), fleet=FLEET, ttl=1, workers=1, admin_more=tokens)
    try:
        server.start()
        yield Cluster(server)
    finally:
        server.close()


def test_the_probes_need_no_token(cluster: Cluster) -> None:
    """A kubelet, which names the pod's own address as the host, gets 200 from both paths."""
    container = _container(SERVERS, "dnsd")
    for probe in ("livenessProbe", "readinessProbe"):
        connection = http.client.HTTPConnection("127.0.0.1", cluster.server.admin_port, timeout=PATIENCE_SECONDS)
        connection.request("GET", container[probe]["httpGet"]["path"], headers={"Host": "10.1.2.3:8053"})
        assert connection.getresponse().status == 200
        connection.close()


def test_the_hooks_of_a_pod_with_the_command(cluster: Cluster) -> None:
    """`preStop` returns when the node is out of DNS and caches; `postStart` brings it back, also where nothing was."""
    back, out = _hook(IN_IMAGE, "media", "postStart"), _hook(IN_IMAGE, "media", "preStop")
    assert cluster.run(back, NODE="media-0").returncode == 0
    stopped = cluster.run(out, NODE="media-0")
    assert stopped.returncode == 0, stopped.stderr
    assert "192.0.2.1" not in cluster.server.addresses("edge.example.org.")
    assert "pods" in cluster.dnsd("drains")
    assert cluster.run(back, NODE="media-0").returncode == 0
    assert "192.0.2.1" in cluster.server.addresses("edge.example.org.")
    unreachable = cluster.run(back, NODE="media-0", DNSD_SERVER=f"http://127.0.0.1:{free_port()}")
    assert unreachable.returncode == 0  # or Kubernetes would kill the container
    assert unreachable.stdout == "it stays drained until its drain expires\n"


class _Pod:
    """The containers of a pod with an agent, in a folder in place of its volumes."""

    def __init__(self, cluster: Cluster, folder: Path, port: int) -> None:
        self._cluster, self.folder = cluster, folder
        names = ("etc/media-agent", "etc/dnsd-tokens", "run/dnsd-agent")
        for name in names:
            (folder / name).mkdir(parents=True)
        self._paths = {f"/{name}": f"{folder}/{name}" for name in names}
        (folder / "etc/dnsd-tokens/media-7").write_text("of-media-7\n")
        template = WITH_AGENT[0]["data"]["agent.toml"]
        values = {
            '"http://ns1.example.org:8053", "http://ns2.example.org:8053"': f'"{cluster.server.url}"',
            "8443": str(port),
            "/etc/dnsd-tokens": self._paths["/etc/dnsd-tokens"],
            "/run/dnsd-agent": self._paths["/run/dnsd-agent"],
            '"5s"': '"200ms"',
        }
        (folder / "etc/media-agent/agent.toml").write_text(replaced(template, values))
        done = cluster.run(self._inside(_container(WITH_AGENT, "configure")["command"]), **self.env)
        assert done.returncode == 0, done.stderr

    @property
    def env(self) -> dict[str, str]:
        """What the pod is told of itself."""
        return {"NODE": "media-7", "ADDRESS": "192.0.2.77", "DNSD_TOKEN": ""}

    def _inside(self, command: list[str]) -> list[str]:
        words = []
        for word in command:
            for path, place in self._paths.items():
                word = word.replace(path, place)  # noqa: PLW2901
            words.append(word)
        return words

    def begin(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a container, or its hook."""
        env = self._cluster.environment(**self.env)
        return subprocess.Popen(self._inside(command), env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def test_a_pod_with_an_agent_from_its_start_to_its_end(cluster: Cluster, tmp_path: Path) -> None:
    """The agent registers the pod, drains it when told to end, and the media server's hook ends with it; then back."""
    with socket.create_server(("127.0.0.1", 0)) as media:
        threading.Thread(target=_accept, args=(media,), daemon=True).start()
        pod = _Pod(cluster, tmp_path, media.getsockname()[1])
        running: list[subprocess.Popen[bytes]] = []
        try:
            for _ in range(2):  # the second time, the drain of the first one is there
                agent = pod.begin(_container(WITH_AGENT, "agent")["command"])
                running.append(agent)
                assert pod.begin(_hook(WITH_AGENT, "agent", "postStart")).wait(PATIENCE_SECONDS) == 0
                wait_until(lambda: "192.0.2.77" in cluster.server.addresses("edge.example.org."), "the pod serves")
                waiting = pod.begin(_hook(WITH_AGENT, "media", "preStop"))
                running.append(waiting)
                agent.send_signal(signal.SIGTERM)
                assert agent.wait(PATIENCE_SECONDS) == 0
                assert waiting.wait(PATIENCE_SECONDS) == 0
                assert "192.0.2.77" not in cluster.server.addresses("edge.example.org.")
                assert "media-7-agent" in cluster.dnsd("drains")
        finally:
            for process in running:
                process.kill()
                process.wait()


def _accept(listener: socket.socket) -> None:
    """Take connections of health checks until the listener is closed."""
    try:
        while True:
            listener.accept()[0].close()
    except OSError:
        return


def test_dynamic_updates_are_not_taken(cluster: Cluster) -> None:
    """An update of a zone that the server has is answered with NOTIMP."""
    update = dns.update.UpdateMessage("example.org.")
    update.add("new", 300, "A", "192.0.2.99")
    answer = dns.query.udp(update, "127.0.0.1", port=cluster.server.dns_port, timeout=PATIENCE_SECONDS)
    assert answer.rcode() == dns.rcode.NOTIMP
