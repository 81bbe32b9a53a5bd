"""Programs that have nothing of dnsd's read and follow drains in Redis, as `docs/redis.md` tells them to."""

from __future__ import annotations

import ast
import contextlib
import functools
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.redis import RedisServer, redis_server
from tests.support.servers import PATIENCE_SECONDS, Server, pause, serving, wait_until

SCRIPT = Path(__file__).with_name("foreign_follower.py")
ROUTER = "router-7"

# How long it acts by two histories at least. Unit: seconds.
BOTH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Site:
    """A Redis, a server on it, and whatever reads the former."""

    redis: RedisServer
    server: Server

    def call(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        """Make a call of the HTTP API; return its status and its document."""
        request = urllib.request.Request(self.server.url + path, method=method)
        if body:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            return response.status, json.loads(response.read())

    def truth(self) -> dict[str, str]:
        """Return the modes by node, role and holder, as the API tells them."""
        _, document = self.call("GET", "/v1/drains")
        return {
            f"{drain['node']}/{role}/{drain['holder']}": drain["mode"]
            for drain in document["items"]
            for role in drain["roles"]
        }

    def who(self, outcome: Any) -> tuple[set[str], set[str]]:
        """Return who has applied an order and who has not, in a drain's answer."""
        applied, pending = ({each["consumer"] for each in outcome[part]} for part in ("applied", "pending"))
        return applied, pending


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server of the test's own, with a Redis of its own behind it."""
    (tmp_path / "server").mkdir()
    with redis_server(tmp_path / "redis") as redis, serving(tmp_path / "server", store=redis.url) as server:
        yield Site(redis, server)


class Follower:
    """The foreign program's process, and what it has printed."""

    def __init__(self, folder: Path, redis: RedisServer, *words: str) -> None:
        self._output = folder / "follower"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-I", SCRIPT, str(redis.port), ROUTER, *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def views(self) -> list[Any]:
        """Every view that it has acted by."""
        return [json.loads(line) for line in self._output.read_text().splitlines()]

    @property
    def drains(self) -> dict[str, str]:
        """The modes that it acts by now."""
        modes: dict[str, str] = self.views[-1]["drains"]
        return modes

    def acts_by(self, modes: dict[str, str]) -> bool:
        """Say whether it acts by these modes now."""
        return bool(self.views) and self.drains == modes


@contextlib.contextmanager
def following(folder: Path, redis: RedisServer, *words: str) -> Iterator[Follower]:
    """Run the foreign program for the length of a test."""
    follower = Follower(folder, redis, *words)
    try:
        wait_until(lambda: bool(follower.views), "the follower has loaded")
        yield follower
    finally:
        follower.process.kill()
        follower.process.wait(PATIENCE_SECONDS)


def test_the_follower_has_nothing_of_ours() -> None:
    """The foreign program imports the standard library and nothing else."""
    nodes = list(ast.walk(ast.parse(SCRIPT.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)}
    assert names
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_plain_redis_cli_reads_a_drain(site: Site) -> None:
    """What is drained over HTTP stands in Redis for redis-cli to read, in one cut with its entry in the stream."""
    status, outcome = site.call(
        "PUT",
        "/v1/nodes/edge-1/drain?wait=applied&timeout=10",
        roles=["edge"],
        mode="maintenance",
        reason="Lüfter",
        holder="os-update",
        expires_in=3600,
    )
    assert (status, outcome["revision"]) == (200, 1)
    commands = ["MULTI", "GET {dnsd}:revision", "HGETALL {dnsd}:drains", "XREVRANGE {dnsd}:changes + - COUNT 1", "EXEC"]
    printed = subprocess.run(
        ["redis-cli", "--raw", "-p", str(site.redis.port)],
        input="\n".join(commands),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    ).stdout.splitlines()
    assert printed[:4] == ["OK", "QUEUED", "QUEUED", "QUEUED"]
    revision, key, text, place, *fields = printed[4:]
    drain = json.loads(text)
    expected = {name: outcome["drain"][name] for name in drain if name != "role"}
    assert (revision, key, place) == ("1", "edge-1/edge/os-update", "1-0")
    assert drain == {**expected, "role": "edge"}
    assert drain["reason"] == "Lüfter"
    entry = dict(zip(fields[::2], fields[1::2], strict=True))
    assert json.loads(entry.pop("value")) == drain
    assert len(entry.pop("mark")) == 16
    assert entry == {"revision": "1", "at": drain["created_at"], "entity": "drain", "key": key}

    site.call("DELETE", "/v1/nodes/edge-1/drain?holder=os-update&wait=applied")
    assert site.redis.cli("HGETALL", "{dnsd}:drains") == ""
    assert site.redis.cli("GET", "{dnsd}:revision") == "2"


def test_a_foreign_follower_acts_by_every_change_before_it_is_acknowledged(site: Site, tmp_path: Path) -> None:
    """Whatever is drained and released with wait=applied is what the follower acts by when the answer comes."""
    site.call("PUT", "/v1/nodes/edge-3/drain", reason="before anybody follows", force=True)
    with following(tmp_path, site.redis) as follower:
        assert follower.drains == site.truth() == {"edge-3/*/local": "draining"}
        for method, node, body in (
            ("PUT", "edge-1", {"roles": ["edge"], "reason": "a"}),
            ("PUT", "ingest-1", {"mode": "maintenance", "reason": "b", "indefinite": True}),
            ("PUT", "edge-1", {"roles": ["edge"], "reason": "c", "mode": "maintenance", "holder": "ops"}),
            ("DELETE", "edge-1", {}),
            ("PUT", "ingest-1", {"mode": "draining", "reason": "b"}),
            ("DELETE", "ingest-1", {}),
            ("DELETE", "edge-3", {}),
        ):
            status, outcome = site.call(method, f"/v1/nodes/{node}/drain?wait=applied&timeout=20", **body)
            assert (status, site.who(outcome)) == (200, ({"ns1", ROUTER}, set()))
            assert follower.views[-1]["revision"] == outcome["revision"]
            assert follower.drains == site.truth()
        assert follower.drains == {"edge-1/edge/ops": "maintenance"}
        assert [view["how"] for view in follower.views] == ["loaded", *["followed"] * 7]


def test_the_server_waits_for_a_foreign_follower_that_is_late(site: Site, tmp_path: Path) -> None:
    """An order is not acknowledged as applied by all until a follower that hangs has gone on and applied it."""
    with following(tmp_path, site.redis) as follower, ThreadPoolExecutor(1) as pool:
        pause(follower.process.pid)
        status, outcome = site.call("PUT", "/v1/nodes/edge-1/drain?wait=applied&timeout=1", reason="late")
        assert (status, site.who(outcome)) == (202, ({"ns1"}, {ROUTER}))
        blockers = site.call("GET", "/v1/nodes/edge-1/status")[1]["blockers"]
        assert any(ROUTER in text for text in blockers)

        answer = pool.submit(site.call, "PUT", "/v1/nodes/ingest-1/drain?wait=applied&timeout=20", reason="late")
        wait_until(lambda: "ingest-1/*/local" in site.truth(), "the second drain is placed")
        assert not answer.done()
        assert follower.drains == {}
        follower.process.send_signal(signal.SIGCONT)
        status, outcome = answer.result(PATIENCE_SECONDS)
        assert (status, site.who(outcome)) == (200, ({"ns1", ROUTER}, set()))
        assert follower.drains == site.truth() == {"edge-1/*/local": "draining", "ingest-1/*/local": "draining"}


def test_a_foreign_follower_loads_anew_where_changes_were_missed(site: Site, tmp_path: Path) -> None:
    """A follower that the stream has left behind notices the gap, loads a cut, and acts by the truth."""
    with following(tmp_path, site.redis) as follower:
        site.call("PUT", "/v1/nodes/edge-1/drain?wait=applied", reason="known")
        pause(follower.process.pid)
        site.call("PUT", "/v1/nodes/ingest-1/drain", reason="missed")
        site.call("DELETE", "/v1/nodes/edge-1/drain")
        site.call("PUT", "/v1/nodes/edge-2/drain", reason="missed as well")
        site.redis.cli("XTRIM", "{dnsd}:changes", "MAXLEN", "1")
        follower.process.send_signal(signal.SIGCONT)
        wait_until(functools.partial(follower.acts_by, site.truth()), "the follower acts by the truth")
        assert follower.views[-1] == {"how": "loaded", "revision": 4, "drains": site.truth()}


def test_a_foreign_follower_undrains_nothing_that_redis_has_lost(site: Site, tmp_path: Path) -> None:
    """A follower of a Redis that loses everything keeps its drains until dnsd has restored them, and follows on."""
    with following(tmp_path, site.redis) as follower:
        site.call("PUT", "/v1/nodes/edge-1/drain?wait=applied", reason="to stay")
        site.redis.cli("FLUSHALL")
        wait_until(lambda: follower.views[-1]["revision"] == 2, "the follower has loaded what was restored")
        status, outcome = site.call("PUT", "/v1/nodes/ingest-1/drain?wait=applied&timeout=20", reason="after it")
        assert (status, site.who(outcome)) == (200, ({"ns1", ROUTER}, set()))
        assert follower.drains == site.truth() == {"edge-1/*/local": "draining", "ingest-1/*/local": "draining"}
        assert all("edge-1/*/local" in view["drains"] for view in follower.views[1:])
        site.call("DELETE", "/v1/nodes/edge-1/drain?wait=applied&timeout=20")
        assert follower.drains == site.truth() == {"ingest-1/*/local": "draining"}


def test_a_foreign_follower_acts_by_both_histories_until_it_has_heard_dnsd(site: Site, tmp_path: Path) -> None:
    """A follower whose place has become another revision of that number keeps its drains beside the new ones."""
    with following(tmp_path, site.redis, str(BOTH_SECONDS)) as follower:
        site.call("PUT", "/v1/nodes/edge-1/drain?wait=applied", reason="to stay")
        assert site.server.stop() == 0
        pause(follower.process.pid)
        site.redis.cli("FLUSHALL")
        (site.server.folder / "last-state").unlink()
        site.server.start()
        site.call("PUT", "/v1/nodes/ingest-1/drain", reason="another first revision")
        truth = site.truth()
        assert site.server.stop() == 0
        follower.process.send_signal(signal.SIGCONT)
        wait_until(lambda: len(follower.views) == 3, "the follower has noticed")
        both = {"edge-1/*/local": "draining", "ingest-1/*/local": "draining"}
        assert follower.views[-1] == {"how": "loaded", "revision": 1, "drains": both}
        time.sleep(3 * BOTH_SECONDS)
        assert follower.drains == both
        site.server.start()
        wait_until(functools.partial(follower.acts_by, truth), "the follower acts by the new history alone")
        assert follower.drains == {"ingest-1/*/local": "draining"}
