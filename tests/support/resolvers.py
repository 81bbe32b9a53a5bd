"""unbound and BIND in front of a server: real caching resolvers whose clients the tests are."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query

from tests.support.peers import PROGRAM_PATH
from tests.support.servers import PATIENCE_SECONDS, Server, free_port, wait_until

UNBOUND = """\
server:
  interface: 127.0.0.1
  port: {port}
  do-ip6: no
  access-control: 127.0.0.0/8 allow
  do-daemonize: no
  do-not-query-localhost: no
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  username: ""
  use-syslog: no
  logfile: ""
  module-config: "{modules}"
  num-threads: 1
  cache-min-ttl: 0
  prefetch: no
  serve-expired: no
  rrset-roundrobin: no
{more}
remote-control:
  control-enable: no
{stubs}
"""

STUB = """\
stub-zone:
  name: "{apex}"
  stub-addr: {address}
"""

# BIND asks every server on one port, which is its own way to say where the root's are, and those below them.
BIND = """\
controls {{ }};
statistics-channels {{ inet 127.0.0.1 port {statistics} allow {{ 127.0.0.1; }}; }};
options {{
  directory "{folder}";
  port {server_port};
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  query-source address 127.0.0.1;
  pid-file none;
  session-keyfile none;
  recursion yes;
  allow-query {{ 127.0.0.0/8; }};
  empty-zones-enable no;
  notify no;
{more}
}};
zone "." {{ type hint; file "{hints}"; }};
{trust}
"""


class Resolver:
    """A running resolver.

    Args:
        port: at which its clients ask.
        log: what it writes.
        statistics: port of its counters; 0: it has none.
    """

    def __init__(self, port: int, log: Path, *, statistics: int = 0) -> None:
        self.port = port
        self.log = log
        self.statistics = statistics

    def ask(self, name: str) -> tuple[set[str], int]:
        """Return the addresses that a client gets for a name, and their TTL; 0 where there are none."""
        response = self.answer(dns.message.make_query(name, "A"))
        addresses = {rdata.address for rrset in response.answer for rdata in rrset}
        return addresses, min((rrset.ttl for rrset in response.answer), default=0)

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """Return the answer to a client's query."""
        return dns.query.udp(query, "127.0.0.1", port=self.port, timeout=PATIENCE_SECONDS)

    def said(self) -> str:
        """Return everything that it has written."""
        return self.log.read_text(errors="replace")

    def counters(self) -> dict[str, int]:
        """Return what BIND has counted of the servers that it asks."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.statistics}/json/v1/server", timeout=PATIENCE_SECONDS
        ) as page:
            document: dict[str, Any] = json.load(page)
        counters: dict[str, int] = document["views"]["_default"]["resolver"]["stats"]
        return counters


@contextlib.contextmanager
def resolving(server: Server, folder: Path) -> Iterator[Resolver]:
    """Run unbound in front of a server, for example.org, for the length of a test."""
    with unbound(folder, stubs={"example.org": f"127.0.0.1@{server.dns_port}"}) as resolver:
        yield resolver


@contextlib.contextmanager
def unbound(
    folder: Path, *, stubs: Mapping[str, str], modules: str = "iterator", more: Sequence[str] = ()
) -> Iterator[Resolver]:
    """Run unbound for the length of a test.

    Args:
        stubs: `address@port` of whom it asks, by zone; where a zone is delegated elsewhere, it goes to port 53.
        modules: `iterator`, or `validator iterator`.
        more: lines for the configuration's `server`.
    """
    folder.mkdir(exist_ok=True)
    resolver = Resolver(free_port(), folder / "unbound.log")
    config = folder / "unbound.conf"
    stub_zones = "".join(STUB.format(apex=apex, address=address) for apex, address in stubs.items())
    lines = "\n".join(f"  {line}" for line in more)
    config.write_text(UNBOUND.format(port=resolver.port, folder=folder, modules=modules, more=lines, stubs=stub_zones))
    with _running(resolver, ["unbound", "-d", "-c", str(config)]):
        yield resolver


@contextlib.contextmanager
def bind(folder: Path, *, server_port: int, root: str, more: Sequence[str] = (), trust: str = "") -> Iterator[Resolver]:
    """Run BIND as a resolver for the length of a test.

    Args:
        server_port: at which all servers listen.
        root: address of the root's server.
        more: statements for the configuration's `options`.
        trust: its `trust-anchors`; empty: none.
    """
    folder.mkdir(exist_ok=True)
    resolver = Resolver(free_port(), folder / "named.log", statistics=free_port())
    hints, config = folder / "hints", folder / "named.conf"
    hints.write_text(f". 3600 NS ns.root.\nns.root. 3600 A {root}\n")
    lines = "\n".join(f"  {line}" for line in more)
    config.write_text(
        BIND.format(
            port=resolver.port,
            folder=folder,
            server_port=server_port,
            hints=hints,
            statistics=resolver.statistics,
            more=lines,
            trust=trust,
        )
    )
    found = shutil.which("named", path=PROGRAM_PATH)
    assert found is not None, "named is missing: scripts/provide-test-tools brings it"
    # AppArmor may confine a program by where it lies.
    with _running(resolver, [shutil.copy(found, str(folder)), "-g", "-4", "-n", "1", "-c", str(config)]):
        yield resolver


@contextlib.contextmanager
def _running(resolver: Resolver, command: Sequence[str]) -> Iterator[None]:
    with resolver.log.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def answers() -> bool:
        query = dns.message.make_query("version.bind", "TXT", "CH")
        try:
            dns.query.udp(query, "127.0.0.1", port=resolver.port, timeout=0.2)
        except (dns.exception.Timeout, OSError):
            assert process.poll() is None, resolver.said()
            return False
        return True

    try:
        wait_until(answers, "the resolver answers")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
