"""The fleet as `make fleet` starts it, on free ports and in a folder of its own, and a shell beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.docs.example import ADMIN_PORT, DNS_PORT, ROOT
from tests.support.servers import PATIENCE_SECONDS, alive, free_port, wait_until

# The port that the script and the documents use.
REDIS_PORT = "6390"

HOSTS = ("127.0.0.11", "127.0.0.12", "127.0.0.13")


class ExampleFleet:
    """`make fleet` without make: the example's configuration and zones, started by `scripts/run-fleet`.

    Args:
        folder: empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dns_port, self.admin_port, self.redis_port = free_port(), free_port(), free_port()
        self.output = folder / "output"
        self.process: subprocess.Popen[bytes] | None = None
        shutil.copy(ROOT / "config.example.toml", folder)
        shutil.copytree(ROOT / "zones", folder / "zones")
        (folder / ".venv").symlink_to(sys.prefix)

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the script."""
        words: list[str | Path] = [
            ".venv/bin/python",
            ROOT / "scripts" / "run-fleet",
            ".venv/bin/dnsd",
            "config.example.toml",
        ]
        ports = {"--dns-port": self.dns_port, "--admin-port": self.admin_port, "--redis-port": self.redis_port}
        for option, port in ports.items():
            words += [option, str(port)]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder
            )

    def wait_for(self, text: str) -> None:
        """Wait until the terminal shows a text."""

        def shown() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"the script ended:\n{self.said()}"
            return text in self.said()

        wait_until(shown, f"the script says {text!r}", seconds=2 * PATIENCE_SECONDS)

    def ended(self) -> int:
        """Wait until the script has ended, and return its exit status."""
        assert self.process is not None
        return self.process.wait(2 * PATIENCE_SECONDS)

    def stop(self) -> int:
        """End the script as `kill` does, and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def left(self) -> list[psutil.Process]:
        """Return the processes that are at work in the folder."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(self.folder) and alive(process):
                    found.append(process)
        return found

    def listening(self) -> list[tuple[str, int]]:
        """Return the fleet's addresses that anybody listens on."""
        addresses = [("127.0.0.1", self.redis_port)]
        addresses += [(host, port) for host in HOSTS for port in (self.dns_port, self.admin_port)]
        return [address for address in addresses if _is_listened_on(address)]

    def close(self) -> None:
        """End whatever still runs; for the end of a test, however it went."""
        for process in self.left():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process is not None:
            self.process.wait(PATIENCE_SECONDS)

    # --- the person at the terminal -----------------------------------------------------------------------------

    def said(self) -> str:
        """Return what the terminal shows, with the ports of the documents."""
        return self._as_documented(self.output.read_text())

    def shell(self, command: str) -> str:
        """Run a line of a document with the ports that the fleet has here; return what it prints, with those there."""
        line = command.replace(f"-p {DNS_PORT}", f"-p {self.dns_port}").replace(f":{ADMIN_PORT}", f":{self.admin_port}")
        done = subprocess.run(
            ["bash", "-c", line.replace(f"-p {REDIS_PORT}", f"-p {self.redis_port}")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
            env={**os.environ, "NO_COLOR": "1"},
            cwd=self.folder,
        )
        return self._as_documented(done.stdout)

    def _as_documented(self, text: str) -> str:
        own = {self.dns_port: DNS_PORT, self.admin_port: ADMIN_PORT, self.redis_port: REDIS_PORT}
        for port, documented in own.items():
            text = text.replace(str(port), documented)
        return text


def _is_listened_on(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=PATIENCE_SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True


@contextlib.contextmanager
def example_fleet(folder: Path) -> Iterator[ExampleFleet]:
    """Have a fleet for the length of a test, not started yet; nothing of it is left afterwards."""
    fleet = ExampleFleet(folder)
    try:
        yield fleet
    finally:
        fleet.close()
