"""unbound in front of a server: a real caching resolver whose clients the tests are."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from tests.support.servers import PATIENCE_SECONDS, Server, free_port, wait_until

CONFIG = """\
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
  module-config: "iterator"
  num-threads: 1
  cache-min-ttl: 0
  prefetch: no
  serve-expired: no
  rrset-roundrobin: no
remote-control:
  control-enable: no
stub-zone:
  name: "example.org"
  stub-addr: 127.0.0.1@{dns}
"""


class Resolver:
    """A running unbound that asks one server for example.org."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, name: str) -> tuple[set[str], int]:
        """Return the addresses that a client gets for a name, and their TTL; 0 where there are none."""
        query = dns.message.make_query(name, "A")
        response = dns.query.udp(query, "127.0.0.1", port=self.port, timeout=PATIENCE_SECONDS)
        addresses = {rdata.address for rrset in response.answer for rdata in rrset}
        return addresses, min((rrset.ttl for rrset in response.answer), default=0)


@contextlib.contextmanager
def resolving(server: Server, folder: Path) -> Iterator[Resolver]:
    """Run unbound in front of a server for the length of a test."""
    resolver = Resolver(free_port())
    folder.mkdir(exist_ok=True)
    config = folder / "unbound.conf"
    config.write_text(CONFIG.format(port=resolver.port, folder=folder, dns=server.dns_port))
    with (folder / "unbound.log").open("wb") as log:
        process = subprocess.Popen(["unbound", "-d", "-c", str(config)], stdout=log, stderr=log)

    def answers() -> bool:
        query = dns.message.make_query("version.bind", "TXT", "CH")
        try:
            dns.query.udp(query, "127.0.0.1", port=resolver.port, timeout=0.2)
        except (dns.exception.Timeout, OSError):
            assert process.poll() is None, (folder / "unbound.log").read_text()
            return False
        return True

    try:
        wait_until(answers, "unbound answers")
        yield resolver
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
