"""What systemd is told: by a notifier alone, and by a whole agent that runs under a pretended systemd."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsd.agent.notify import Notifier
from tests.agent.agents import Agent, drains_on_stop, media, mode
from tests.support.servers import PATIENCE_SECONDS, Server, wait_until


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        self._socket.settimeout(PATIENCE_SECONDS)

    def hear(self, text: str) -> None:
        """Wait for a state that begins with a text."""
        while not self.heard or not self.heard[-1].startswith(text):
            self.heard.append(self._socket.recv(4096).decode())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["a path", "an abstract name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A service manager that listens at a path, and one at an abstract name."""
    abstract = f"@dnsd-test-{secrets.token_hex(8)}"
    made = Manager(str(tmp_path / "notify") if request.param == "a path" else abstract)
    yield made
    made.close()


def test_states_are_sent_as_they_are_written(manager: Manager) -> None:
    """One datagram for each, and none for a status that is told already."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.name})
    notifier.ready()
    notifier.status("reporting")
    notifier.status("reporting")
    notifier.extend(1.5)
    notifier.stopping()
    manager.hear("STOPPING=1")
    assert manager.heard == ["READY=1", "STATUS=reporting", "EXTEND_TIMEOUT_USEC=1500000", "STOPPING=1"]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "4000000"}, None),  # nobody listens
        ({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "4000000"}, 2.0),
        ({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid())}, 2.0),
        ({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1"}, None),  # it is for another
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_asks(environment: dict[str, str], seconds: float | None) -> None:
    """Only where somebody waits for it, and waits for this process."""
    notifier = Notifier(environment)
    assert notifier.watchdog_seconds == seconds
    notifier.alive()  # whoever does not listen is no reason to fail


def test_an_agent_tells_systemd_from_its_start_to_its_end(manager: Manager, shared: Server, tmp_path: Path) -> None:
    """Ready, how it is, signs of life; when told to stop: stopping, and more time while it drains."""
    name = f"unit-{len(manager.name)}"
    with media() as edge:
        agent = Agent(tmp_path, name, [shared.url], agent_more=drains_on_stop("20s"), more=edge.counted())
        edge.come()
        try:
            agent.start(NOTIFY_SOCKET=manager.name, WATCHDOG_USEC="200000", JOURNAL_STREAM="8:1")
            manager.hear("READY=1")
            manager.hear("STATUS=reporting; edge normal")
            manager.hear("WATCHDOG=1")
            agent.send(15)
            manager.hear("STOPPING=1")
            manager.hear("EXTEND_TIMEOUT_USEC=30000000")
            wait_until(lambda: mode(shared, name) == "draining", "it drains")
            manager.hear("STATUS=leaving; edge draining")
            edge.leave()
            assert agent.wait() == 0
        finally:
            agent.close()
        assert all(line.startswith(("<3>", "<4>", "<6>")) for line in agent.said().splitlines())
