"""Real proxies in front of a server: HAProxy and dnsdist, each with a configuration as its manual has it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.servers import PATIENCE_SECONDS, wait_until


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def _running(command: Sequence[str], log: Path, *, port: int) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_until(lambda: _listens(port) or process.poll() is not None, f"{command[0]} listens")
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def haproxy(folder: Path, text: str, *, port: int) -> Iterator[None]:
    """Run HAProxy for a while.

    Args:
        text: its configuration.
        port: one that it listens on.
    """
    (folder / "haproxy.cfg").write_text(text)
    command = ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]
    with _running(command, folder / "haproxy.log", port=port):
        yield


@contextlib.contextmanager
def dnsdist(folder: Path, text: str, *, port: int) -> Iterator[None]:
    """Run dnsdist for a while; it asks nobody but the servers of its configuration.

    Args:
        text: its configuration.
        port: one that it listens on.
    """
    (folder / "dnsdist.conf").write_text('setSecurityPollSuffix("")\n' + text)
    command = ["dnsdist", "--supervised", "--disable-syslog", "-C", str(folder / "dnsdist.conf")]
    with _running(command, folder / "dnsdist.log", port=port):
        yield
