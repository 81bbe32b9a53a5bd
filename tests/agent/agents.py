"""A real `dnsd agent` in a folder of its own, and media servers for it to count: listeners that hold connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dnsd.agent.local import AgentState, AgentUnreachable, LocalRequest, ask_agent
from dnsd.agent.settings import SESSION_KINDS
from tests.support.servers import PATIENCE_SECONDS, Server, free_port, run_command, wait_until

CONFIG_TEXT = """\
version = 1
[agent]
node = "{node}"
servers = {servers}
interval = "0.1s"
timeout = "5s"
socket = "agent.sock"
state_file = "state.json"
{agent_more}
{registration}
{more}
"""
REGISTRATION = """
[node]
addresses = ["192.0.2.99"]
roles = {roles}
"""


def without(*kinds: str, role: str = "edge") -> str:
    """Return the configuration of a role that has no sessions of some kinds."""
    return "".join(f'[[sessions]]\nrole = "{role}"\nkind = "{kind}"\nnone = true\n' for kind in kinds)


class Agent:
    """An agent's files and process.

    Args:
        folder: gets a folder of the node's name.
        servers: URLs.
        roles: registers the node with these; None: it is in the inventory.
        agent_more: text for `[agent]`.
        more: text to end the configuration with.
    """

    def __init__(
        self,
        folder: Path,
        node: str,
        servers: Sequence[str],
        *,
        roles: Sequence[str] | None = ("edge",),
        agent_more: str = "",
        more: str = "",
    ) -> None:
        self.node = node
        self.folder = folder / node
        self.folder.mkdir(exist_ok=True)
        self.log = self.folder / "agent.log"
        self.process: subprocess.Popen[bytes] | None = None
        registration = "" if roles is None else REGISTRATION.format(roles=json.dumps(list(roles)))
        (self.folder / "agent.toml").write_text(
            CONFIG_TEXT.format(
                node=node,
                servers=json.dumps(list(servers)),
                agent_more=agent_more,
                registration=registration,
                more=more,
            )
        )

    def start(self, **environment: str) -> None:
        """Start the agent; it may not be ready yet."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **environment},
            )

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, and return its exit status."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end, and return its exit status."""
        assert self.process is not None
        return self.process.wait(PATIENCE_SECONDS)

    def said(self) -> str:
        """Return everything that it has written."""
        return self.log.read_text() if self.log.exists() else ""

    def until_said(self, text: str, *, times: int = 1) -> None:
        """Wait until its log has a text so often."""
        wait_until(lambda: self.said().count(text) >= times, f"the agent says {text!r} {times} times")

    def until_reporting(self) -> None:
        """Wait until a server has taken a report of this process."""

        def reports() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"the agent has ended; it said:\n{self.said()}"
            state = self.state()
            return state is not None and state.connected

        wait_until(reports, "the agent reports")

    def state(self) -> AgentState | None:
        """Return what it knows; None: it does not answer."""
        try:
            return asyncio.run(ask_agent(self.folder / "agent.sock", LocalRequest(do="status"))).state
        except AgentUnreachable:
            return None

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command that speaks to it."""
        return run_command(["agent", "--config", str(self.folder / "agent.toml"), *words])

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Begin a command that speaks to it."""
        return subprocess.Popen(
            [*self._command(), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder
        )

    def close(self) -> None:
        """End it, however the test went."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE_SECONDS)

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "dnsd", "agent", "--config", str(self.folder / "agent.toml")]


@contextlib.contextmanager
def running(folder: Path, node: str, servers: Sequence[str], **options: Any) -> Iterator[Agent]:
    """Run an agent for the length of a test."""
    agent = Agent(folder, node, servers, **options)
    try:
        agent.start()
        agent.until_reporting()
        yield agent
    finally:
        agent.close()


class MediaServer:
    """A listener that holds its viewers' connections."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.port = free_port()
        self._stack = stack
        self._listener = stack.enter_context(socket.create_server(("127.0.0.1", self.port)))
        self._ends: list[tuple[socket.socket, socket.socket]] = []

    def come(self) -> None:
        """Let a viewer connect."""
        viewer = self._stack.enter_context(socket.create_connection(("127.0.0.1", self.port)))
        self._ends.append((viewer, self._stack.enter_context(self._listener.accept()[0])))

    def leave(self) -> None:
        """Let a viewer leave."""
        for end in self._ends.pop():
            end.close()

    def counted(self, role: str = "edge", kind: str = "viewers") -> str:
        """Return the configuration that counts its viewers, as the only sessions."""
        own = f'[[sessions]]\nrole = "{role}"\nkind = "{kind}"\nports = [{self.port}]\n'
        return own + without(*(each for each in SESSION_KINDS if each != kind), role=role)


@contextlib.contextmanager
def media() -> Iterator[MediaServer]:
    """Run a media server for the length of a test."""
    with contextlib.ExitStack() as stack:
        yield MediaServer(stack)


def drains_on_stop(deadline: str) -> str:
    """Return the configuration of an agent that drains its node when it is told to end, for so long at most."""
    return f'drain_on_stop = true\nstop_deadline = "{deadline}"\n'


@contextlib.contextmanager
def watched(folder: Path, node: str, server: Server, *, deadline: str) -> Iterator[tuple[Agent, MediaServer]]:
    """Run an agent that drains on its stop, whose node has a viewer."""
    with (
        media() as edge,
        running(folder, node, [server.url], agent_more=drains_on_stop(deadline), more=edge.counted()) as agent,
    ):
        edge.come()
        yield agent, edge


def mode(server: Server, node: str, role: str = "edge") -> str:
    """Return the mode that a node has in a role, as the server says."""
    found: str = json.loads(server.get(f"/v1/nodes/{node}"))["roles"][role]["mode"]
    return found


def health(server: Server, node: str, role: str = "edge") -> str:
    """Return the health that a node has in a role, as the server says."""
    found: str = json.loads(server.get(f"/v1/nodes/{node}"))["roles"][role]["health"]
    return found


def status(server: Server, node: str) -> Any:
    """Return how far a node's drain has come, as the server says."""
    return json.loads(server.get(f"/v1/nodes/{node}/status"))
