"""What the page on TLS, HTTPS and proxies shows, run with the programs that it names."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of
from tests.docs.example import ROOT
from tests.support.certificates import NAME, make_pair
from tests.support.proxies import dnsdist, haproxy
from tests.support.servers import PATIENCE_SECONDS, Server, free_port, started, wait_until

PAGE = ROOT / "docs" / "tls.md"
FLEET = {"192.0.2.11", "192.0.2.12", "192.0.2.13"}
QUESTION = "edge.example.org"


class Ports:
    """A free port in the place of each that the page names, the same one wherever it stands."""

    def __init__(self) -> None:
        self.of: dict[int, int] = {}

    def put(self, text: str) -> str:
        """Return a text of the page with the ports that it has here."""
        return re.sub(r"(?<=1\]:|\.1:|-p )(\d{4})\b", self._free, text)

    def _free(self, match: re.Match[str]) -> str:
        return str(self.of.setdefault(int(match[1]), free_port()))


def run(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-ec", command], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    return done.stdout


@pytest.fixture
def ports() -> Ports:
    return Ports()


def server_of(folder: Path, text: str, ports: Ports) -> Server:
    """Return a server with tables of the page, in the place of its own where they have the same name."""
    given = ports.put(text)
    server = Server(folder, store="memory")
    own = server.config.read_text()
    if "[server]" in given:
        listen = re.search(r"\[server\]\n(listen = .*\n)", given)
        assert listen is not None
        own = re.sub(rf"^listen = .*:{server.dns_port}\".*\n", listen[1], own, count=1, flags=re.MULTILINE)
        given = given.replace("[server]\n" + listen[1], "")
    server.config.write_text(own + given)
    tomllib.loads(server.config.read_text())
    return server


@pytest.fixture
def fronted(tmp_path: Path, ports: Ports) -> Iterator[Server]:
    """The page's server behind proxies."""
    make_pair().write(tmp_path)
    server = server_of(tmp_path, blocks_of(PAGE, "toml")[1], ports)
    with started(server):
        yield server


def dig(port: int, *words: str) -> set[str]:
    command = ["dig", "@127.0.0.1", "-p", str(port), "+short", "+tries=1", "+time=3", QUESTION, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    return {line for line in done.stdout.split("\n") if line.startswith("192.")}


def test_the_clients_of_the_page_get_answers(tmp_path: Path, ports: Ports) -> None:
    """The certificate is made, the server takes it, and both commands print the fleet."""
    make, *clients = blocks_of(PAGE, "sh")[0].replace("\\\n", "").strip().split("\n")
    run(make, tmp_path)
    server = server_of(tmp_path, blocks_of(PAGE, "toml")[0], ports)
    try:
        server.start()
        for client in clients:
            assert set(re.findall(r"192\.0\.2\.\d+", run(ports.put(client), tmp_path))) == FLEET
    finally:
        server.close()
    assert len(clients) == 2


def test_haproxy_as_the_page_has_it(fronted: Server, ports: Ports, tmp_path: Path) -> None:
    """TCP and TLS through it are answered, its checks are no fault, and neither is refused."""
    text = ports.put(blocks_of(PAGE, "haproxy")[0])
    with haproxy(tmp_path, text, port=ports.of[5301]):
        assert dig(ports.of[5301], "+tcp") == FLEET
        trust = f"+tls-ca={tmp_path / 'cert.pem'} +tls-hostname={NAME}"
        assert set(run(f"kdig @127.0.0.1 -p {ports.of[8531]} {trust} {QUESTION} +short", tmp_path).split()) == FLEET
        wait_until(lambda: 'transport="tls"} 1.0' in fronted.get("/metrics"), "the query is counted")
        assert "dnsd_proxy_refused_total{" not in fronted.get("/metrics")


def test_dnsdist_as_the_page_has_it(fronted: Server, ports: Ports, tmp_path: Path) -> None:
    """UDP and TCP through it are answered; its checks find the server up."""
    text = ports.put(blocks_of(PAGE, "lua")[0])
    with dnsdist(tmp_path, text, port=ports.of[5302]):
        for words in ((), ("+tcp",)):
            assert dig(ports.of[5302], *words) == FLEET
        assert "dnsd_proxy_refused_total{" not in fronted.get("/metrics")
        assert "is marked down" not in (tmp_path / "dnsdist.log").read_text()


def test_a_query_past_the_proxies_is_dropped(fronted: Server, ports: Ports) -> None:
    """From a listed source, over UDP and TCP, and counted; from another one it is answered, as the page says."""
    for words in ((), ("+tcp",)):
        assert dig(ports.of[5300], *words) == set()
        assert dig(ports.of[5300], *words, "-b", "127.0.0.2") == FLEET
    for transport in ("udp", "tcp"):
        line = f'dnsd_proxy_refused_total{{transport="{transport}"}} 1.0'
        wait_until(lambda line=line: line in fronted.get("/metrics"), line)  # type: ignore[misc]
