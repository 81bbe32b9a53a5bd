"""`--wait applied` on a terminal: a live display of who has applied the drain, and what an interruption leaves."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from dnsd.api.schemas import PendingAt
from tests.cli.fakeserver import FakeServer

DEADLINE_SECONDS = 30

LATE = PendingAt(consumer="rtr1", kind="router", applied_revision=5)


def on_a_terminal(
    server: FakeServer, *words: str, when: str = "", do: Callable[[int], None] | None = None
) -> tuple[int, str]:
    """Run a command on a terminal; do something to its process once the terminal shows a text.

    Returns:
        The exit status and all that was shown.
    """
    leader, follower = pty.openpty()
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                data = os.read(leader, 65536)
            except OSError:
                return
            if not data:
                return
            shown.extend(data)

    reader = threading.Thread(target=read)
    env = {**os.environ, "DNSD_SERVER": server.url, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-m", "dnsd", *words], env=env, stdout=follower, stderr=follower)
    os.close(follower)
    reader.start()
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while do is not None and when.encode() not in shown:
            assert time.monotonic() < deadline, shown.decode()
            assert process.poll() is None, shown.decode()
            time.sleep(0.02)
        if do is not None:
            do(process.pid)
        status = process.wait(DEADLINE_SECONDS)
    finally:
        process.kill()
        process.wait()
        reader.join()
        os.close(leader)
    return status, shown.decode()


def test_who_has_applied_is_shown_until_all_have(server: FakeServer) -> None:
    """The consumer that is late stands there with its revision; once it has applied, the command ends with 0."""
    server.pending = [LATE]
    server.looks_until_applied = 2
    status, shown = on_a_terminal(server, "drain", "edge-1", "--reason", "x", "--wait", "applied", "--timeout", "20s")
    assert status == 0
    assert "waiting until all have applied revision 7" in shown
    assert "rtr1 (router): at revision 5" in shown
    assert "applied by rtr1 (router)" in shown


def test_an_interruption_leaves_the_drain_and_says_so(server: FakeServer) -> None:
    """Ctrl-C during the wait: 130, and the drain stands rather than may stand."""
    server.pending = [LATE]
    words = ("drain", "edge-1", "--reason", "x", "--wait", "applied", "--timeout", "20s")
    status, shown = on_a_terminal(
        server, *words, when="rtr1 (router): at revision 5", do=lambda pid: os.kill(pid, signal.SIGINT)
    )
    assert status == 130
    assert "interrupted; the drain of edge-1 stands" in shown
