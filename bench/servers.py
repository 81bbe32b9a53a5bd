"""dnsd and its peers as they are measured: the same fleet in each, one thread or worker that answers, little logging.

Peers have the fleet as a zone that never changes, gdnsd as resources of its plugin multifo, which can take addresses
out. None limits rates. dnsd has everything on: metrics, cookies, and limits that watch for a load higher than this one.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.request import urlopen

import dns.exception
import dns.message
import dns.query
import psutil

from bench.fleets import APEX, ZONE_HEAD, BenchFleet
from bench.owned import Cores, Owned, cpu_seconds, find_program
from tests.support.peers import KINDS, UDP_SIZE
from tests.support.servers import free_port, wait_until

# How long a server may take to its first answer. Unit: seconds.
READY_SECONDS = 120.0

# How long one question may take while a server starts. Unit: seconds.
ASK_SECONDS = 0.5

# How long the admin interface may take to say whether it is ready. Unit: seconds.
READYZ_SECONDS = 5.0

# Above any load of one machine. Unit: answers per second.
MAX_PER_SECOND = 10_000_000

DNSD = f"""\
version = 1
[server]
listen = ["127.0.0.1:{{port}}"]
workers = {{workers}}
[admin]
listen = "127.0.0.1:{{admin_port}}"
[store]
url = "{{store}}"
{{store_more}}
[cookies]
enabled = true
[rate_limit]
allow = []
responses_per_second = {MAX_PER_SECOND}
starts_at = {{starts_at}}
[health]
stale_after = "1h"
{{zones}}
"""

GDNSD = """\
options => {{
  listen => {{ 127.0.0.1:{port} => {{ udp_threads = 1, tcp_threads = 1 }} }}
  run_dir = {folder}/run
  state_dir = {folder}/state
}}
plugins => {{
  multifo => {{
    service_types => up
{resources}  }}
}}
"""

PDNS = """\
launch=bind
bind-config={folder}/named.conf
local-address=127.0.0.1
local-port={port}
socket-dir={folder}
receiver-threads=1
distributor-threads=1
signing-threads=1
loglevel=3
disable-syslog=yes
log-dns-queries=no
security-poll-suffix=
webserver=no
"""


class Server:
    """A server's folder, port and process.

    Args:
        name: what it is called in tables.
        folder: empty; files for `words` are in it.
        words: the command.
    """

    def __init__(self, name: str, folder: Path, port: int, words: Sequence[str | Path]) -> None:
        self.name = name
        self.folder = folder
        self.port = port
        self.words = words
        self.owned: Owned | None = None

    def start(self, *, cores: Sequence[int] | frozenset[int], seconds: float = READY_SECONDS) -> float:
        """Start it, wait until it answers, and return how long that took, in seconds."""
        self.owned = Owned(self.words, self.folder, cores=cores)
        return wait_until(self.answers, f"{self.name} answers", seconds=seconds)

    @property
    def process(self) -> Owned:
        """Its process; it has been started."""
        assert self.owned is not None, f"{self.name} was not started"
        return self.owned

    def answers(self) -> bool:
        """Say whether it answers a question for the apex."""
        self.process.check()
        query = dns.message.make_query(APEX, "SOA")
        try:
            response = dns.query.udp(query, "127.0.0.1", port=self.port, timeout=ASK_SECONDS)
        except (dns.exception.Timeout, OSError):
            return False
        return response.rcode() == dns.rcode.NOERROR

    def stop(self) -> None:
        """End it."""
        if self.owned is not None:
            self.owned.stop()


class Dnsd(Server):
    """dnsd, whose control process and workers can be told apart."""

    def __init__(self, folder: Path, port: int, admin_port: int) -> None:
        words: list[str | Path] = [sys.executable, "-m", "dnsd", "serve", "--config", folder / "config.toml"]
        super().__init__("dnsd", folder, port, words)
        self.admin_port = admin_port

    def start(self, *, cores: Sequence[int] | frozenset[int], seconds: float = READY_SECONDS) -> float:
        """Start it, and wait until its admin interface is there as well; return the seconds to the first answer."""
        took = super().start(cores=cores, seconds=seconds)
        wait_until(self.ready, f"{self.name} is ready", seconds=seconds)
        return took

    def ready(self) -> bool:
        """Say whether the admin interface calls it ready."""
        self.process.check()
        try:
            with urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=READYZ_SECONDS) as response:
                return bool(response.status == HTTPStatus.OK)
        except OSError:  # an answer of 503 is one too
            return False

    def workers(self) -> list[psutil.Process]:
        """Return the answer workers."""
        return self.process.family()[1:]

    def worker_seconds(self) -> float:
        """Return the CPU time of the workers alone."""
        return sum(map(cpu_seconds, self.workers()))

    def pin(self, cores: Cores) -> None:
        """Give the workers the server's CPU, and the control process the others."""
        for process in self.workers():
            process.cpu_affinity([cores.server])
        for thread in self.process.family()[0].threads():
            psutil.Process(thread.id).cpu_affinity(sorted(cores.others))


def dnsd(
    folder: Path,
    tables: str,
    *,
    workers: int = 1,
    store: str = "memory://",
    zones: Mapping[str, Path] | None = None,
    limiting: bool = False,
) -> Dnsd:
    """Write dnsd's files.

    Args:
        tables: pools, nodes and templates for its configuration.
        zones: apex → master file; None: one zone with little in it, for a fleet.
        limiting: each answer is judged by the limits, which none exceeds; else they are armed and quiet.
    """
    if zones is None:
        (folder / "zone").write_text(ZONE_HEAD)
        zones = {APEX: folder / "zone"}
    blocks = "".join(f'[[zone]]\nname = "{apex}."\nfile = "{file}"\n' for apex, file in zones.items())
    server = Dnsd(folder, free_port(), free_port())
    text = DNSD.format(
        port=server.port,
        admin_port=server.admin_port,
        workers=workers,
        store=store,
        starts_at=0 if limiting else MAX_PER_SECOND,
        store_more="" if store.startswith(("memory", "sqlite")) else f'state_file = "{folder}/last-state"',
        zones=blocks,
    )
    (folder / "config.toml").write_text(text + tables)
    return server


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to compare with.

    Args:
        program: None for what is compiled here.
        version: words that make it print its version.
        make: writes its files for a fleet.
    """

    name: str
    program: str | None
    make: Callable[[Path, BenchFleet], Server]
    version: Sequence[str] = field(default=("-V",))

    def installed(self) -> bool:
        """Say whether it can be measured here."""
        return find_program(self.program or "cc") is not None


def _echo(folder: Path, fleet: BenchFleet) -> Server:
    port = free_port()
    program = folder / "echo"
    subprocess.run(["cc", "-O2", "-o", program, Path(__file__).with_name("echo.c")], check=True)
    return Server("echo", folder, port, [program, str(port)])


def gdnsd(folder: Path, fleet: BenchFleet) -> Server:
    """Write gdnsd's files; `state/admin_state` in the folder takes addresses out."""
    port = free_port()
    (folder / "zones").mkdir()
    (folder / "state").mkdir()
    (folder / "zones" / APEX).write_text(fleet.gdnsd_zone())
    text = GDNSD.format(port=port, folder=folder, resources=fleet.gdnsd_resources())
    (folder / "config").write_text(text)
    return Server("gdnsd", folder, port, [_copy("gdnsd", folder), "-c", folder, "start"])


def _pdns(folder: Path, fleet: BenchFleet) -> Server:
    port = free_port()
    zone = _static(folder, fleet)
    (folder / "named.conf").write_text(f'zone "{APEX}" {{ type master; file "{zone}"; }};\n')
    (folder / "pdns.conf").write_text(PDNS.format(port=port, folder=folder))
    return Server("PowerDNS", folder, port, [_copy("pdns_server", folder), f"--config-dir={folder}"])


def from_zones(kind: str, name: str, folder: Path, zones: Mapping[str, Path]) -> Server:
    """Write the files of Knot, NSD or BIND, set as the tests have them, for zones from master files."""
    port = free_port()
    known = KINDS[kind]
    blocks = "\n".join(known.zone(apex, file) for apex, file in zones.items())
    text = known.config.format(port=port, folder=folder, udp_size=UDP_SIZE, zones=blocks)
    # The zone's NS records beside each answer would be work that the others do not do.
    text = text.replace("server-count: 1", "server-count: 1\n  minimal-responses: yes")
    text = text.replace("minimal-responses no-auth", "minimal-responses yes")
    (folder / "config").write_text(text)
    return Server(name, folder, port, [_copy(known.program, folder), *known.words, folder / "config"])


def _named(kind: str, name: str) -> Callable[[Path, BenchFleet], Server]:
    return lambda folder, fleet: from_zones(kind, name, folder, {APEX: _static(folder, fleet)})


def _static(folder: Path, fleet: BenchFleet) -> Path:
    file = folder / "static.zone"
    file.write_text(fleet.static_zone())
    return file


def _copy(program: str, folder: Path) -> Path:
    """Copy a program: AppArmor may confine it by where it lies, and then forbids it to read these files."""
    found = find_program(program)
    assert found is not None
    return Path(shutil.copy(found, folder))


PEERS = (
    Peer("echo", None, _echo),
    Peer("gdnsd", "gdnsd", gdnsd, ("-h",)),
    Peer("NSD", "nsd", _named("nsd", "NSD"), ("-v",)),
    Peer("Knot", "knotd", _named("knot", "Knot"), ("--version",)),
    Peer("PowerDNS", "pdns_server", _pdns, ("--version",)),
    Peer("BIND", "named", _named("bind", "BIND"), ("-v",)),
)
