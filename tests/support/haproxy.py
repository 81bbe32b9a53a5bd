"""A real HAProxy that a test can look into and reload, and servers behind it that say who they are."""

from __future__ import annotations

import contextlib
import csv
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.servers import PATIENCE_SECONDS, wait_until


class Greeter(socketserver.ThreadingTCPServer):
    """A server that tells its name to whoever connects, and sends back what comes in until the other end closes."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, name: str, address: str, port: int) -> None:
        self.greeting = f"{name}\n".encode()
        super().__init__((address, port), _Greeting)


class _Greeting(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Greeter)
        with contextlib.suppress(OSError):  # a check of HAProxy ends with a reset
            self.request.sendall(self.server.greeting)
            while data := self.request.recv(100):
                self.request.sendall(data)


@contextlib.contextmanager
def greeters(addresses: Mapping[str, str], port: int) -> Iterator[None]:
    """Run a server for each node of a mapping from id to address, all at one port."""
    with contextlib.ExitStack() as stack:
        for name, address in addresses.items():
            server = stack.enter_context(Greeter(name, address, port))
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(server.shutdown)
        yield


class Session:
    """A session through HAProxy; `node` is the one that it has come to, empty where none took it."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.node = self._line()

    def lives(self) -> bool:
        """Say whether the session still goes both ways."""
        with contextlib.suppress(OSError):
            self._sock.sendall(b"still there\n")
            return self._line() == "still there"
        return False

    def close(self) -> None:
        """End it."""
        self._sock.close()

    def _line(self) -> str:
        line = b""
        while not line.endswith(b"\n") and (data := self._sock.recv(100)):
            line += data
        return line.decode().strip()


def asked(port: int, *, times: int) -> set[str]:
    """Return the nodes that some new sessions come to."""
    nodes = set()
    for _ in range(times):
        session = Session(port)
        nodes.add(session.node)
        session.close()
    return nodes


class HaProxy:
    """HAProxy with one configuration after another.

    Args:
        folder: for its files.
        admin: where its configuration has the stats socket.
    """

    def __init__(self, folder: Path, admin: Path) -> None:
        self._folder = folder
        self._admin = admin
        self._processes: list[subprocess.Popen[bytes]] = []

    def load(self, text: str) -> None:
        """Start it with a configuration, or reload it: the process before goes on with its sessions alone."""
        config = self._folder / f"haproxy-{len(self._processes)}.cfg"
        config.write_text(text)
        command = ["haproxy", "-db", "-f", str(config)]
        if self._processes:
            command += ["-sf", str(self._processes[-1].pid)]
        with (self._folder / "haproxy.log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes.append(process)
        wait_until(lambda: self._speaks_for(process.pid), f"HAProxy runs; it said:\n{self.said()}")

    def said(self) -> str:
        """Return what it has written."""
        return (self._folder / "haproxy.log").read_text()

    def ask(self, command: str) -> str:
        """Return the answer to a command at the stats socket."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE_SECONDS)
            sock.connect(str(self._admin))
            sock.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: sock.recv(65536), b"")).decode()

    def servers(self) -> dict[str, dict[str, str]]:
        """Return what the statistics say of each server, by name."""
        rows = csv.DictReader(self.ask("show stat").removeprefix("# ").splitlines())
        return {row["svname"]: row for row in rows if row["svname"] not in ("FRONTEND", "BACKEND")}

    def status(self, server: str) -> str:
        """Return a server's state, as the statistics write it."""
        return self.servers()[server]["status"]

    def close(self) -> None:
        """End all of it."""
        for process in self._processes:
            process.kill()
            process.wait()

    def _speaks_for(self, pid: int) -> bool:
        assert self._processes[-1].poll() is None, self.said()
        with contextlib.suppress(OSError):
            return f"\nPid: {pid}\n" in self.ask("show info")
        return False
