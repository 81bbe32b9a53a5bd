"""Knot, NSD and BIND as authoritative servers on the loopback, to compare answers with.

They are set so that their answers can be compared: what RFC 1034 asks for is there, and what only some add is not. No
server recurses, signs, limits rates or listens for control on the network. UDP responses have at most 1232 bytes
(RFC 9715), and records keep the order of the file.

- BIND: `minimal-responses no-auth`, so that a positive answer has no NS records of the zone along, and still has the
  addresses that it makes useful; `minimal-any`, as RFC 8482 has it; no cookies.
- Knot does all this as it comes.
- NSD adds the zone's NS records to positive answers; its `minimal-responses` would leave out the useful addresses too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import psutil

from tests.support.servers import PATIENCE_SECONDS, alive, free_port, wait_until

# Where Debian has servers, which is not on the PATH of every user.
PROGRAM_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

# The largest UDP response. Unit: bytes.
UDP_SIZE = 1232

# How long one question may take while a server starts. Unit: seconds.
ASK_SECONDS = 0.5

# Apex, with the dot at its end → master file.
ZoneFiles = Mapping[str, Path]

# One that every server can load.
SMALL_ZONE = """\
$ORIGIN example.org.
$TTL 300
@    SOA  ns hostmaster 1 7200 900 1209600 60
     NS   ns
ns   A    192.0.2.1
"""

KNOT = """\
server:
  listen: 127.0.0.1@{port}
  rundir: "{folder}"
  pidfile: "{folder}/knot.pid"
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  udp-max-payload: {udp_size}
control:
  listen: "{folder}/knot.sock"
database:
  storage: "{folder}"
log:
  - target: stderr
    any: info
template:
  - id: default
    storage: "{folder}"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
    semantic-checks: off
zone:
{zones}
"""

NSD = """\
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  zonesdir: "{folder}"
  database: ""
  logfile: ""
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  zonelistfile: "{folder}/zone.list"
  server-count: 1
  rrl-ratelimit: 0
  ipv4-edns-size: {udp_size}
  ipv6-edns-size: {udp_size}
  tcp-timeout: 30
remote-control:
  control-enable: no
{zones}
"""

BIND = """\
controls {{ }};
options {{
  directory "{folder}";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  pid-file none;
  session-keyfile none;
  recursion no;
  notify no;
  dnssec-validation no;
  empty-zones-enable no;
  answer-cookie no;
  minimal-responses no-auth;
  minimal-any yes;
  zero-no-soa-ttl no;
  rrset-order {{ order none; }};
  max-udp-size {udp_size};
  edns-udp-size {udp_size};
  check-names primary ignore;
  check-integrity no;
  check-mx ignore;
}};
{zones}
"""


def _knot_zone(apex: str, file: Path) -> str:
    return f'  - domain: "{apex}"\n    file: "{file}"'


def _nsd_zone(apex: str, file: Path) -> str:
    return f'zone:\n  name: "{apex}"\n  zonefile: "{file}"'


def _bind_zone(apex: str, file: Path) -> str:
    return f'zone "{apex}" {{ type primary; file "{file}"; }};'


@dataclass(frozen=True, slots=True)
class Kind:
    """What there is to know of a server program.

    Args:
        config: text with fields for the port, the folder, the UDP size and the zones.
        zone: writes a zone for that text.
        words: behind the program, and before the file of that text, for a run in the foreground that logs to stderr.
    """

    program: str
    config: str
    zone: Callable[[str, Path], str]
    words: Sequence[str]


KINDS = {
    "knot": Kind("knotd", KNOT, _knot_zone, ["-c"]),
    "nsd": Kind("nsd", NSD, _nsd_zone, ["-d", "-c"]),
    "bind": Kind("named", BIND, _bind_zone, ["-g", "-4", "-n", "1", "-c"]),
}


class Peer:
    """A server's folder and process.

    Args:
        name: one of `KINDS`.
        folder: empty, and with a path that is short enough for a Unix socket in it.
    """

    def __init__(self, name: str, zones: ZoneFiles, folder: Path) -> None:
        self.name = name
        self.zones = zones
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"
        self.config = folder / "config"
        kind = KINDS[name]
        blocks = "\n".join(kind.zone(apex, file.absolute()) for apex, file in zones.items())
        self.config.write_text(kind.config.format(port=self.port, folder=folder, udp_size=UDP_SIZE, zones=blocks))

    def start(self) -> None:
        """Start the server."""
        kind = KINDS[self.name]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self._program(kind.program), *kind.words, str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def _program(self, name: str) -> Path:
        found = shutil.which(name, path=PROGRAM_PATH)
        assert found is not None, f"{name} is missing: scripts/provide-test-tools brings it"
        # AppArmor may confine a program by where it lies, and then forbids it to read a zone of a test.
        return Path(shutil.copy(found, self.folder))

    def wait_until_ready(self, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until every zone is answered for."""
        try:
            wait_until(lambda: all(map(self._has, self.zones)), f"{self.name} serves every zone", seconds=seconds)
        except AssertionError as failure:
            raise AssertionError(f"{failure}; it said:\n{self.said()}") from None

    def _has(self, apex: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}"
        query = dns.message.make_query(apex, "SOA")
        try:
            response = dns.query.udp(query, "127.0.0.1", port=self.port, timeout=ASK_SECONDS)
        except (dns.exception.Timeout, OSError):
            return False
        return bool(response.answer)

    def said(self) -> str:
        """Return everything that the server has written."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def stop(self) -> None:
        """End the server and the processes that it has started."""
        if self.process is None:
            return
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            own = psutil.Process(self.process.pid)
            family = [own, *own.children(recursive=True)]
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_SECONDS)
            wait_until(lambda: not any(map(alive, family)), f"no process of {self.name} is left")
        finally:
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait(PATIENCE_SECONDS)


def small_zone(folder: Path, text: str = SMALL_ZONE) -> ZoneFiles:
    """Write example.org., where nobody needs more of it."""
    file = folder / "zone"
    file.write_text(text)
    return {"example.org.": file}


@contextlib.contextmanager
def peering(zones_of: Mapping[str, ZoneFiles]) -> Iterator[dict[str, Peer]]:
    """Run servers for the length of a test or a module; nothing of them is left afterwards.

    Args:
        zones_of: the zones of each server, by its name in `KINDS`.
    """
    with contextlib.ExitStack() as stack:
        peers: dict[str, Peer] = {}
        for name, zones in zones_of.items():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dnsd-peer-"))
            peers[name] = Peer(name, zones, Path(folder))
            stack.callback(peers[name].stop)
            peers[name].start()
        for peer in peers.values():
            peer.wait_until_ready()
        yield peers
