"""`safe_to_stop` held against a real resolver's clients and open sessions, over random runs."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.background import Background
from tests.support.resolvers import Resolver, resolving
from tests.support.servers import Server, serving, wait_until

pytestmark = pytest.mark.alone

# Nodes that are drained side by side, and how often each.
RUNS, ROUNDS = 3, 2
ROLE = "storage"
LOOKS_PER_SECOND = 20

# What stands against a stop when nothing but the last session does.
LAST_SESSION = [f"{ROLE}: 1 viewers still connected"]

# After the verdict, how long the resolver's clients go on asking. Unit: seconds.
AFTERWARDS_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Run:
    """A node that is drained again and again, in a region and a pool of its own, with another one beside it."""

    number: int
    ttl: int
    rng: random.Random

    @property
    def node(self) -> str:
        """Its id."""
        return f"drained-{self.number}"

    @property
    def address(self) -> str:
        """Its address."""
        return f"192.0.2.{100 + self.number}"

    @property
    def region(self) -> str:
        """Where it is."""
        return f"region-{self.number}"

    @property
    def name(self) -> str:
        """What clients ask for."""
        return f"pair-{self.number}.example.org"


class Agent(Background):
    """Reports a node's sessions several times a second, as its agent would."""

    def __init__(self, server: Server, run: Run) -> None:
        super().__init__()
        self.viewers = 0
        self.reported: int | None = None  # as the server has it
        self._server = server
        self._its = run

    def _run(self) -> None:
        sequence = 0
        while not self._ended.wait(0.2):
            sequence += 1
            viewers = self.viewers
            sessions = {"viewers": viewers, "inputs": 0, "jobs": 0}
            report = {
                "sequence": sequence,
                "observed_at": datetime.now(UTC).isoformat(),
                "health": {ROLE: "up"},
                "sessions": {ROLE: sessions},
            }
            call(self._server, "POST", f"/v1/nodes/{self._its.node}/report", report)
            self.reported = viewers


def call(server: Server, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, data=data, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def test_safe_to_stop_is_never_true_too_early(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """When it is true, no session is open, and no client of the resolver is handed the node any more."""
    seed = random.SystemRandom().randrange(2**32)
    record_property("figure", f"seed {seed}")
    runs = []
    for number in range(RUNS):
        rng = random.Random(seed + number)
        runs.append(Run(number, rng.choice([1, 2, 3]), rng))
    fleet = {f"beside-{run.number}": ([f"192.0.2.{200 + run.number}"], [ROLE], run.region) for run in runs}
    pools = "".join(
        f'\n[[pool]]\nname = "{run.name}."\nrole = "{ROLE}"\nmatch = {{ region = "{run.region}" }}\nttl = {run.ttl}\n'
        for run in runs
    )
    with (
        serving(tmp_path, store="memory", fleet=fleet, more=pools) as server,
        resolving(server, tmp_path / "resolver") as resolver,
        ThreadPoolExecutor() as threads,
    ):
        for each in [threads.submit(go_through, run, server, resolver, f"seed {seed}") for run in runs]:
            each.result()


def go_through(run: Run, server: Server, resolver: Resolver, seed: str) -> None:
    """Drain a node until it is safe to stop, see who is handed it then, and bring it back; again and again."""
    path = f"/v1/nodes/{run.node}"
    call(server, "PUT", path, {"addresses": [run.address], "roles": [ROLE], "region": run.region})
    with Agent(server, run) as agent:
        for number in range(ROUNDS):
            place = f"{seed}, {run.node}, round {number}"
            wait_until(lambda: run.address in resolver.ask(run.name)[0], "clients are handed the node")
            outlasts = number % 2 == 1  # the last session does, whatever is held in caches
            agent.viewers = run.rng.randrange(1 if outlasts else 0, 3)
            wait_until(lambda: agent.reported == agent.viewers, "the server knows of its sessions")
            body: dict[str, object] = {"reason": f"round {number}", "force": True}
            if run.rng.random() < 0.5:
                starts_at = time.time() + run.rng.uniform(0.5, run.ttl + 1)
                body["starts_at"] = datetime.fromtimestamp(starts_at, UTC).isoformat()
            call(server, "PUT", f"{path}/drain", body)
            deadline = time.monotonic() + 30
            while not (status := call(server, "GET", f"{path}/status"))["safe_to_stop"]:
                assert time.monotonic() < deadline, status
                resolver.ask(run.name)
                stays = outlasts and agent.viewers == 1 and status["blockers"] != LAST_SESSION
                if agent.viewers and not stays and run.rng.random() < 0.1:
                    agent.viewers -= 1
                time.sleep(1 / LOOKS_PER_SECOND)
            assert agent.viewers == 0, f"{place}: a session is open"
            verdict = time.monotonic()
            while (since := time.monotonic() - verdict) < AFTERWARDS_SECONDS:
                named = run.address in resolver.ask(run.name)[0]
                assert not named, f"{place}: handed out {since:.2f} s after the verdict"
                time.sleep(1 / LOOKS_PER_SECOND)
            call(server, "DELETE", f"{path}/drain")
