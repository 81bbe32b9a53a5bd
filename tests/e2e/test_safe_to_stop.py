"""`safe_to_stop` held against a real resolver's clients and open sessions, over random runs."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.resolvers import resolving
from tests.support.servers import Server, serving, wait_until

pytestmark = pytest.mark.alone

NAME = "pair.example.org"
NODE, ADDRESS = "n1", "192.0.2.41"
ROUNDS = 6
LOOKS_PER_SECOND = 20

# After the verdict, how long the resolver's clients go on asking. Unit: seconds.
AFTERWARDS_SECONDS = 1.5


class Agent:
    """Reports a node's sessions several times a second, as its agent would."""

    def __init__(self, server: Server) -> None:
        self.viewers = 0
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Agent:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        sequence = 0
        while not self._ended.wait(0.2):
            sequence += 1
            sessions = {"viewers": self.viewers, "inputs": 0, "jobs": 0}
            report = {
                "sequence": sequence,
                "observed_at": datetime.now(UTC).isoformat(),
                "health": {"storage": "up"},
                "sessions": {"storage": sessions},
            }
            call(self._server, "POST", f"/v1/nodes/{NODE}/report", report)


def call(server: Server, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, data=data, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def test_safe_to_stop_is_never_true_too_early(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """When it is true, no session is open, and no client of the resolver is handed the node any more."""
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    record_property("figure", f"seed {seed}")
    ttl = rng.choice([1, 2, 3])
    fleet = {"n2": (["192.0.2.42"], ["storage"], "eu")}
    pool = f'\n[[pool]]\nname = "{NAME}."\nrole = "storage"\nttl = {ttl}\n'
    with (
        serving(tmp_path, store="memory", fleet=fleet, more=pool) as server,
        resolving(server, tmp_path / "resolver") as resolver,
    ):
        call(server, "PUT", f"/v1/nodes/{NODE}", {"addresses": [ADDRESS], "roles": ["storage"]})
        with Agent(server) as agent:
            for number in range(ROUNDS):
                wait_until(lambda: ADDRESS in resolver.ask(NAME)[0], "clients are handed the node")
                agent.viewers = rng.randrange(3)
                body: dict[str, object] = {"reason": f"round {number}", "force": True}
                if rng.random() < 0.5:
                    starts_at = time.time() + rng.uniform(0.5, ttl + 1)
                    body["starts_at"] = datetime.fromtimestamp(starts_at, UTC).isoformat()
                call(server, "PUT", f"/v1/nodes/{NODE}/drain", body)
                deadline = time.monotonic() + 30
                while not call(server, "GET", f"/v1/nodes/{NODE}/status")["safe_to_stop"]:
                    assert time.monotonic() < deadline, call(server, "GET", f"/v1/nodes/{NODE}/status")
                    resolver.ask(NAME)
                    if agent.viewers and rng.random() < 0.1:
                        agent.viewers -= 1
                    time.sleep(1 / LOOKS_PER_SECOND)
                assert agent.viewers == 0, f"seed {seed}, round {number}: a session is open"
                verdict = time.monotonic()
                while (since := time.monotonic() - verdict) < AFTERWARDS_SECONDS:
                    named = ADDRESS in resolver.ask(NAME)[0]
                    assert not named, f"seed {seed}, round {number}: handed out {since:.2f} s after the verdict"
                    time.sleep(1 / LOOKS_PER_SECOND)
                call(server, "DELETE", f"/v1/nodes/{NODE}/drain")
