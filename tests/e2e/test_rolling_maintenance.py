"""A fleet is taken out of service node by node, and no viewer notices: servers, routers and agents as they are run."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.audience import Audience
from tests.support.redis import redis_server
from tests.support.redis_fleet import call, redis_fleet
from tests.support.servers import PATIENCE_SECONDS, Server, free_port, wait_until

NODES = 6
POOL = "edge.example.org."
ROUTERS = 2


@dataclass(slots=True)
class Machine:
    """A node's processes: a media server's stand-in, and the agent beside it.

    Args:
        id: the node's.
        address: on the loopback, its own.
        port: of the media server; agents of one machine would count each other's connections to the same one.
        agent_config: the agent's configuration file.
    """

    id: str
    address: str
    port: int
    agent_config: Path
    media: subprocess.Popen[str] | None = None
    agent: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start both."""
        command = [sys.executable, "-m", "tests.support.media", self.address, str(self.port)]
        self.media = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.media.stdout is not None
        assert self.media.stdout.readline() == "ready\n"
        with self.agent_config.with_suffix(".log").open("ab") as log:
            command = [sys.executable, "-m", "dnsd", "agent", "--config", str(self.agent_config)]
            self.agent = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self) -> None:
        """End both, as one would to open the machine: whoever is connected is cut off."""
        for process in (self.agent, self.media):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE_SECONDS)
        if self.media is not None and self.media.stdout is not None:
            self.media.stdout.close()


def agent_text(node: str, address: str, port: int, servers: Sequence[Server]) -> str:
    """Write an agent's configuration, with paths beside it."""
    return f"""
version = 1
[agent]
node = "{node}"
servers = {json.dumps([server.url for server in servers])}
interval = "0.5s"
socket = "{node}.sock"
state_file = "{node}.json"
[node]
addresses = ["{address}"]
roles = ["edge"]
region = "ap"
[[sessions]]
role = "edge"
kind = "viewers"
ports = [{port}]
[[sessions]]
role = "edge"
kind = "inputs"
none = true
[[sessions]]
role = "edge"
kind = "jobs"
none = true
[[health]]
role = "edge"
tcp = "{address}:{port}"
"""


@contextlib.contextmanager
def machines(folder: Path, servers: Sequence[Server]) -> Iterator[list[Machine]]:
    """Run the nodes of a fleet; nothing is left afterwards."""
    folder.mkdir()
    found: list[Machine] = []
    try:
        for number in range(1, NODES + 1):
            machine = Machine(f"edge-{number}", f"127.0.1.{number}", free_port(), folder / f"edge-{number}.toml")
            machine.agent_config.write_text(agent_text(machine.id, machine.address, machine.port, servers))
            found.append(machine)
            machine.start()
        for machine in found:
            wait_until(partial(is_up, servers[0], machine.id), f"{machine.id} is up")
        yield found
    finally:
        for machine in found:
            machine.stop()


def is_up(server: Server, node: str) -> bool:
    """Say whether a server knows that a node is up in its role."""
    reply = call(server, "GET", f"/v1/nodes/{node}")
    return reply.status == 200 and bool(reply.document["roles"]["edge"]["health"] == "up")


def router_text(name: str, port: int, redis: str) -> str:
    """Write a router's configuration."""
    return f"""
version = 1
[router]
id = "{name}"
listen = ["127.0.0.1:{port}"]
[store]
url = "{redis}"
[[role]]
name = "edge"
"""


@contextlib.contextmanager
def routers(folder: Path, redis: str) -> Iterator[list[int]]:
    """Run routers; return their ports when they are ready."""
    folder.mkdir()
    ports = [free_port() for _ in range(ROUTERS)]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for number, port in enumerate(ports, 1):
            config = folder / f"router-{number}.toml"
            config.write_text(router_text(f"router-{number}", port, redis))
            with config.with_suffix(".log").open("ab") as log:
                command = [sys.executable, "-m", "dnsd", "router", "--config", str(config)]
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        for port in ports:
            wait_until(partial(answers, port), "a router is ready")
        yield ports
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)


def answers(port: int) -> bool:
    """Say whether a router calls itself ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def take_out(machine: Machine, server: Server, audience: Audience) -> float:
    """Drain a node as an operator does, and stop it when that says that it may be; return how long it took."""
    began = time.monotonic()
    order = ("drain", machine.id, "--reason", "maintenance", "--indefinite")
    applied = server.run(*order, "--wait", "applied")
    assert applied.returncode == 0, applied.stderr
    drained = time.monotonic()
    watched = audience.open[machine.address]
    safe = server.run(*order, "--wait", "safe", "--timeout", "60s")
    assert safe.returncode == 0, safe.stderr
    assert audience.open[machine.address] == 0
    machine.stop()
    # Whoever asks anew is sent elsewhere as soon as it is acknowledged; caches keep what they have for a second.
    assert audience.since(drained, machine.address, "dns", "router") == []
    audience.go_on()
    assert [each for each in audience.sessions if each.address == machine.address and each.began > drained + 3] == []
    audience.waited_for += watched
    return time.monotonic() - began


def bring_back(machine: Machine, server: Server, audience: Audience) -> None:
    """Start a node again, and release its drain; viewers come back to it by both ways."""
    machine.start()
    wait_until(partial(is_up, server, machine.id), "the node is up again")
    back = time.monotonic()
    released = server.run("undrain", machine.id, "--wait", "applied")
    assert released.returncode == 0, released.stderr
    for ways in (("router",), ("dns", "cache")):
        wait_until(partial(audience.since, back, machine.address, *ways), f"viewers are back by {ways}")


def test_a_rolling_maintenance_is_seen_by_no_viewer(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every node is drained, stopped and brought back in turn; no session fails to begin, and none is cut."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server(tmp_path))
        servers = stack.enter_context(redis_fleet(tmp_path, redis.url, fleet={}, ttl=1))
        nodes = stack.enter_context(machines(tmp_path / "nodes", servers))
        ports = stack.enter_context(routers(tmp_path / "routers", redis.url))
        audience = Audience(
            POOL,
            [server.dns_port for server in servers],
            [f"http://127.0.0.1:{port}/route/edge?key=" for port in ports],
            {machine.address: machine.port for machine in nodes},
        )
        took = []
        with audience.watching():
            audience.go_on()
            for number, machine in enumerate(nodes):
                server = servers[number % len(servers)]
                took.append(take_out(machine, server, audience))
                bring_back(machine, server, audience)
            audience.go_on()
    assert audience.failed == []
    record_property(
        "figure",
        f"{len(audience.sessions)} sessions, 0 failed; {len(nodes)} nodes drained, stopped and brought back; "
        f"{audience.waited_for} sessions waited for; out of service after {max(took):.1f} s at most",
    )
