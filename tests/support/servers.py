"""A real `dnsd serve` on free ports of the loopback, with a fleet of its own, and what clients do with it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import psutil
from click.testing import CliRunner

from dnsd.cli.main import cli

# How long anything that a test waits for may take on a busy machine. Unit: seconds.
PATIENCE_SECONDS = 30.0

# Below those that the kernel gives to clients, 32768 and up on Linux.
FIRST_PORT, LAST_PORT = 20_000, 32_000

# How often a condition is looked at. Unit: seconds.
LOOK_SECONDS = 0.02

# What the log says of a reload, with the generation that comes of it; workers may not have that yet.
RELOADED = re.compile(r" reloaded .*: generation (\d+)$", re.MULTILINE)

ZONE_TEXT = """\
$ORIGIN example.org.
$TTL 300
@               SOA   ns1 hostmaster 2026010101 7200 900 1209600 60
                NS    ns1
                MX    10 mail
                TXT   "example"
ns1             A     192.0.2.1
mail            A     192.0.2.2
www             CNAME edge
far             CNAME target.example.net.
*.wild          TXT   "any"
a.b.deep        TXT   "below an empty name"
sub             NS    ns.sub
ns.sub          A     192.0.2.53
old             DNAME new
x.new           A     192.0.2.80
big             TXT   "{big}"
"""

OTHER_ZONE_TEXT = """\
$ORIGIN example.net.
$TTL 300
@       SOA ns1.example.org. hostmaster.example.org. 1 7200 900 1209600 60
        NS  ns1.example.org.
target  CNAME edge.example.org.
"""

CONFIG_TEXT = """\
version = 1

[server]
id = "{id}"
listen = ["127.0.0.1:{dns}", "[::1]:{dns}"]
workers = {workers}

[admin]
listen = "127.0.0.1:{admin}"
{admin_more}

[store]
url = "{store}"
{store_more}

[[zone]]
name = "example.org."
file = "example.org.zone"

[[zone]]
name = "example.net."
file = "example.net.zone"

[[node_record]]
name = "{{id}}.nodes.example.org."

{nodes}

[[pool]]
name = "edge.example.org."
role = "edge"
ttl = {ttl}

[[pool]]
name = "ingest.example.org."
role = "ingest"
when_empty = "draining"

[[pool]]
name = "us.edge.example.org."
role = "edge"
match = {{ region = "us" }}
when_empty = "servfail"

[[pool]]
name = "eu.edge.example.org."
role = "edge"
match = {{ region = "eu" }}
when_empty = "pool:us.edge.example.org."
{more}
"""

# id → addresses, roles, region
FLEET: dict[str, tuple[list[str], list[str], str]] = {
    "edge-1": (["192.0.2.11", "2001:db8::11"], ["edge"], "eu"),
    "edge-2": (["192.0.2.12", "2001:db8::12"], ["edge"], "eu"),
    "edge-3": (["192.0.2.13"], ["edge"], "us"),
    "ingest-1": (["192.0.2.21"], ["ingest"], "eu"),
    "ingest-2": (["192.0.2.22"], ["ingest"], "us"),
}


def _ports() -> Iterator[int]:
    """Yield this process's share of the ports again and again, so that two that run side by side never meet."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = range(FIRST_PORT + worker, LAST_PORT, workers)
    begin = secrets.randbelow(len(share))  # other runs on the same machine begin elsewhere
    return itertools.cycle([*share[begin:], *share[:begin]])


_own_ports = _ports()


def free_port() -> int:
    """Return a port that is free now, for UDP and TCP, on both loopback addresses.

    No client of a test that runs beside this one is given it before the server has it.
    """
    for port in _own_ports:
        with contextlib.ExitStack() as stack:
            others = (
                (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
                (socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1"),
                (socket.AF_INET6, socket.SOCK_STREAM, "::1"),
                (socket.AF_INET6, socket.SOCK_DGRAM, "::1"),
            )
            try:
                for family, kind, host in others:
                    stack.enter_context(socket.socket(family, kind)).bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def wait_until(condition: Callable[[], object], what: str, *, seconds: float = PATIENCE_SECONDS) -> float:
    """Wait for a condition; return how long it took, in seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - began


def pause(pid: int) -> None:
    """Have a process hang until it gets a SIGCONT; return when it does."""
    os.kill(pid, signal.SIGSTOP)
    process = psutil.Process(pid)
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "it has stopped")


def alive(process: psutil.Process) -> bool:
    """Say whether a process still does anything; one that nobody has reaped yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run_command(words: Sequence[str], *, server: str = "") -> subprocess.CompletedProcess[str]:
    """Run a `dnsd` command and return its outcome.

    It runs in this process, which spares the start of another one; `tests/cli/test_process.py` holds what a process is.
    It is no command that serves, and one at a time: its output is this process's for a while.

    Args:
        server: the URL of whom it asks, if anybody.
    """
    done = CliRunner().invoke(cli, words, prog_name="dnsd", env={"DNSD_SERVER": server} if server else None)
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


def nodes_text(fleet: dict[str, tuple[list[str], list[str], str]]) -> str:
    """Write a fleet as the configuration's tables."""
    return "\n".join(
        f'[[node]]\nid = "{name}"\naddresses = {json.dumps(addresses)}\nroles = {json.dumps(roles)}\n'
        f'region = "{region}"\n'
        for name, (addresses, roles, region) in fleet.items()
    )


class Server:
    """A server's files and process; starts when told, and can start again on the same files.

    Args:
        folder: empty; gets the configuration, the zones and the store.
        id: the consumer's id.
        store: `memory`, `sqlite`, or a URL.
        store_more: text for the configuration's `[store]`; a Redis has its last state in `last-state`.
        more: text to end the configuration with.
        admin_more: text for the configuration's `[admin]`.
        ttl: of the pool `edge.example.org.`, in seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        id: str = "ns1",  # noqa: A002 - as the configuration calls it
        store: str = "sqlite",
        store_more: str = 'state_file = "last-state"',
        workers: int = 2,
        fleet: dict[str, tuple[list[str], list[str], str]] | None = None,
        more: str = "",
        admin_more: str = "",
        ttl: int = 30,
    ) -> None:
        self.folder = folder
        self.dns_port = free_port()
        self.admin_port = free_port()
        self.config = folder / "config.toml"
        self.log = folder / "dnsd.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.known: set[psutil.Process] = set()
        self.url = f"http://127.0.0.1:{self.admin_port}"
        big = '" "'.join(["x" * 250] * 8)
        (folder / "example.org.zone").write_text(ZONE_TEXT.replace("{big}", big))
        (folder / "example.net.zone").write_text(OTHER_ZONE_TEXT)
        self.config.write_text(
            CONFIG_TEXT.format(
                dns=self.dns_port,
                admin=self.admin_port,
                workers=workers,
                id=id,
                store={"memory": "memory://", "sqlite": "sqlite://./state.db"}.get(store, store),
                store_more=store_more if store.startswith(("redis", "unix")) else "",
                nodes=nodes_text(FLEET if fleet is None else fleet),
                more=more,
                admin_more=admin_more,
                ttl=ttl,
            )
        )

    # --- life ---------------------------------------------------------------------------------------------------

    def command(self) -> Sequence[str | Path]:
        """Return what starts the server."""
        return [sys.executable, "-m", "dnsd", "serve", "--config", str(self.config)]

    def start(self, *, ready: bool = True) -> None:
        """Start the server, and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        if ready:
            wait_until(self.is_ready, f"the server is ready; it said:\n{self.said()}")

    def is_ready(self) -> bool:
        """Say whether the admin interface calls the server ready."""
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.said()}")
        try:
            with socket.create_connection(("127.0.0.1", self.admin_port), timeout=1) as sock:
                sock.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return b" 200 " in sock.recv(100)
        except OSError:
            return False

    def stop(self) -> int:
        """End the server as a service manager would, and return its exit status."""
        assert self.process is not None
        family = self.family()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE_SECONDS)
        wait_until(lambda: not any(alive(process) for process in family), "no process is left")
        return status

    def reload(self) -> None:
        """Have the server read its configuration anew, and wait until every worker answers by it."""
        assert self.process is not None
        before = len(RELOADED.findall(self.said()))
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(RELOADED.findall(self.said())) > before, f"the server reloads; it said:\n{self.said()}")
        generation = int(RELOADED.findall(self.said())[-1])
        wait_until(lambda: self.answer_generation() >= generation, "every worker has it")

    def kill(self, pid: int | None = None) -> None:
        """End one of the server's processes at once; by default its control process."""
        assert self.process is not None
        self.family()  # workers outlive their control process for a while: they are still ours to end
        os.kill(self.process.pid if pid is None else pid, signal.SIGKILL)
        if pid is None:
            self.process.wait(PATIENCE_SECONDS)

    def family(self) -> list[psutil.Process]:
        """Return the control process and its workers."""
        assert self.process is not None
        control = psutil.Process(self.process.pid)
        family = [control, *control.children(recursive=True)]
        self.known.update(family)
        return family

    def workers(self) -> list[psutil.Process]:
        """Return the answer workers, oldest first."""
        return sorted(self.family()[1:], key=lambda process: (process.create_time(), process.pid))

    def said(self) -> str:
        """Return everything that the server has written."""
        return self.log.read_text() if self.log.exists() else ""

    def close(self) -> None:
        """End whatever still runs; for the end of a test, however it went."""
        if self.process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            self.family()
        for process in self.known:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(PATIENCE_SECONDS)

    # --- clients ------------------------------------------------------------------------------------------------

    def dig(self, *words: str) -> str:
        """Return what dig prints."""
        command = ["dig", "@127.0.0.1", "-p", str(self.dns_port), "+tries=1", "+time=5", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True).stdout

    def addresses(self, name: str, *words: str) -> set[str]:
        """Return the addresses that dig gets for a name."""
        lines = self.dig("+short", name, *words).split()
        return {line for line in lines if not line.endswith(".")}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a `dnsd` command against this server."""
        return run_command(words, server=self.url)

    def get(self, path: str) -> str:
        """Return the text of a page of the admin interface."""
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE_SECONDS) as response:
            text: str = response.read().decode()
            return text

    def readiness(self) -> dict[str, Any]:
        """Return what `/readyz` says of a server that is ready."""
        document: dict[str, Any] = json.loads(self.get("/readyz"))
        return document

    def answer_generation(self) -> int:
        """Return the generation that every worker answers from."""
        (found,) = re.findall(r"^dnsd_answer_generation (\S+)$", self.get("/metrics"), re.MULTILINE)
        return int(float(found))

    def cli(self, *words: str) -> Any:
        """Run a `dnsd` command that must succeed, and return its JSON."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)


class Startable(Protocol):
    """What is started, and closed however far it came."""

    def start(self) -> None:
        """Start it."""

    def close(self) -> None:
        """End it, however the test went."""


@contextlib.contextmanager
def started(server: Startable) -> Iterator[None]:
    """Run a server for the length of a block; nothing of it is left afterwards."""
    try:
        server.start()
        yield
    finally:
        server.close()


@contextlib.contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Server]:
    """Run a server for the length of a test; nothing of it is left afterwards."""
    server = Server(folder, **options)
    with started(server):
        yield server


async def answer_of(port: int, packet: bytes, *, host: str = "127.0.0.1", timeout_seconds: float = 5.0) -> bytes:
    """Ask over UDP from a port of one's own, so that the kernel may choose any worker, and return the answer."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (host, port))
        await loop.sock_sendall(sock, packet)
        return await asyncio.wait_for(loop.sock_recv(sock, 65535), timeout_seconds)


def median_and_p99(values: Sequence[float]) -> tuple[float, float]:
    """Return the 50th and 99th percentile."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
