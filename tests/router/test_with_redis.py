"""A real router beside two real servers on one Redis: drains, acknowledgements, restarts and outages."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dnsd.router.opening import open_router
from tests.router.processes import RouterProcess, a_running_router, by_store
from tests.support.background import Background
from tests.support.redis import RedisServer, redis_server
from tests.support.redis_fleet import NODES, call, drain, listed, redis_fleet, undrain
from tests.support.servers import PATIENCE_SECONDS, Server, pause, wait_until

Record = Callable[[str, object], None]

ALL = set(NODES)


Fleet = tuple[list[Server], RouterProcess]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, which it may break."""
    with redis_server(tmp_path / "redis", append_only=True) as own:
        yield own


@pytest.fixture
def fleet(tmp_path: Path, redis: RedisServer) -> Iterator[Fleet]:
    """Two servers and a router on a Redis of the test's own."""
    with ExitStack() as stack:
        servers = stack.enter_context(redis_fleet(tmp_path, redis.url))
        yield servers, stack.enter_context(a_known_router(tmp_path, redis.url, servers))


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that tests leave as they found it."""
    with redis_server(tmp_path_factory.mktemp("redis"), append_only=True) as own:
        yield own


@pytest.fixture(scope="module")
def shared_servers(shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two servers on it."""
    with redis_fleet(tmp_path_factory.mktemp("servers"), shared_redis.url) as servers:
        yield servers


@pytest.fixture
def shared_fleet(tmp_path: Path, shared_redis: RedisServer, shared_servers: list[Server]) -> Iterator[Fleet]:
    """These servers and a router of the test's own; afterwards nothing is drained."""
    with a_known_router(tmp_path, shared_redis.url, shared_servers) as router:
        yield shared_servers, router
    for node in listed(shared_servers[0]):
        assert undrain(shared_servers[0], node, query="?").status in (200, 202)
    shared_redis.cli("hdel", "{dnsd}:consumers", "router-1")


@contextmanager
def a_known_router(folder: Path, url: str, servers: list[Server]) -> Iterator[RouterProcess]:
    """Run a router that knows the fleet, and that the servers know."""
    with a_running_router(folder / "router", source=by_store(url)) as router:
        wait_until(lambda: router.get("/readyz").document["nodes"] == len(ALL), "the router knows the fleet")
        wait_until(lambda: "router-1" in waits_for(servers[0]), "the servers know the router")
        yield router


def waits_for(server: Server) -> dict[str, int]:
    """Return the live consumers that a server knows, and what each has applied."""
    items = call(server, "GET", "/v1/consumers").document["items"]
    return {each["id"]: each["applied_revision"] for each in items if each["live"]}


def test_a_drain_that_is_acknowledged_holds_in_the_router(shared_fleet: Fleet, record_property: Record) -> None:
    """`wait=applied` names the router among those that have applied it, and from then on it names the node no more."""
    servers, router = shared_fleet
    lags = []
    for number in range(1, 6):
        node = f"edge-{number}"
        reply = drain(servers[number % 2], node)
        assert reply.status == 200, reply
        kinds = {each["consumer"]: each["kind"] for each in reply.document["applied"]}
        assert kinds == {"ns1": "dns", "ns2": "dns", "router-1": "router"}
        lags.append({each["consumer"]: each["lag_ms"] for each in reply.document["applied"]})
        assert node not in router.nodes()
        assert router.get("/route/edge?key=1").document["revision"] == reply.document["revision"]
        assert undrain(servers[0], node).status == 200
        assert router.nodes() == ALL
    record_property("figure", f"ms from an accepted drain to applied: {lags}")


def test_waiting_for_applied_waits_for_a_router_that_hangs(shared_fleet: Fleet) -> None:
    """Stopped, it is pending by name; once it goes on, whoever waits is told at once."""
    servers, router = shared_fleet
    assert router.process is not None
    pause(router.process.pid)
    try:
        reply = drain(servers[0], "edge-1", query="?wait=applied&timeout=3")
        assert reply.status == 202
        assert [each["consumer"] for each in reply.document["pending"]] == ["router-1"]
    finally:
        router.process.send_signal(signal.SIGCONT)
    assert drain(servers[0], "edge-1").status == 200
    assert "edge-1" not in router.nodes()


def test_sessions_stay_while_their_node_drains(shared_fleet: Fleet) -> None:
    """By their token, over a restart of the router; in maintenance each is placed anew, under the same session id."""
    servers, router = shared_fleet
    placed = router.post({"role": "edge", "key": "match-1", "kind": "play"})
    assert placed.status == 201
    node, token = placed.document["node"], placed.document["token"]
    assert drain(servers[0], node).status == 200
    assert router.node("match-1") != node
    assert router.stop() == 0
    router.start()
    kept = router.get(f"/route/edge?session={token}").document
    assert (kept["node"], kept["mode"], kept["reason"]) == (node, "draining", "kept")
    again = router.post({"role": "edge", "key": "match-1", "session": token})
    assert (again.status, again.document["node"], again.document["session"]) == (
        200, node, placed.document["session"],
    )  # fmt: skip
    assert router.node("match-1", "&purpose=source") == node
    assert drain(servers[0], node, mode="maintenance").status == 200
    moved = router.post({"role": "edge", "key": "match-1", "session": token})
    assert (moved.status, moved.document["session"]) == (201, placed.document["session"])
    assert moved.document["node"] != node
    assert router.node("match-1", "&purpose=source") != node


class Judge(Background):
    """Asks a router for nodes, and notes each answer that names a node that is drained."""

    def __init__(self, router: RouterProcess, drained: str) -> None:
        super().__init__()
        self.answers = 0
        self.wrong: list[str] = []
        self._router = router
        self._drained = drained

    def _run(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            try:
                answer = self._router.get(f"/route/edge?key={number}")
            except OSError:
                time.sleep(0.01)
                continue
            self.answers += answer.status == 200
            if answer.status == 200 and answer.document["node"] == self._drained:
                self.wrong.append(str(answer))


def test_no_answer_names_a_drained_node_while_routers_are_killed(
    shared_redis: RedisServer, shared_fleet: Fleet, record_property: Record
) -> None:
    """A router that is killed and started again names nobody before it has loaded the drains."""
    servers, router = shared_fleet
    assert drain(servers[0], "edge-1").status == 200
    starts = 3
    with Judge(router, drained="edge-1") as judge:
        for _ in range(starts):
            router.close()
            router.start()
            enough = judge.answers + 50
            wait_until(lambda: judge.answers >= enough, "it answers")  # noqa: B023 - called at once
    assert judge.wrong == []
    record_property("figure", f"{judge.answers} answers over {starts} starts, none wrong")


def test_in_an_outage_the_last_known_drains_hold(fleet: Fleet, redis: RedisServer) -> None:
    """Also for a router that starts during it, from its state file; when Redis is back, the router follows again."""
    servers, router = fleet
    assert drain(servers[0], "edge-1").status == 200
    state_file = router.folder / "last-state"
    wait_until(lambda: state_file.exists() and "draining" in state_file.read_text(), "the last state is on the disk")
    wait_until(lambda: router.nodes(20) <= ALL - {"edge-1"}, "the drain holds")
    redis.kill()
    wait_until(lambda: bool(router.get("/readyz").document["problems"]), "the router tells of the outage")
    assert router.get("/readyz").status == 200
    assert router.nodes() == ALL - {"edge-1"}
    router.close()
    router.start()
    assert router.nodes() == ALL - {"edge-1"}
    redis.start()
    wait_until(lambda: not router.get("/readyz").document["problems"], "the router has Redis again")
    wait_until(lambda: "router-1" in waits_for(servers[0]), "the servers know the router")
    wait_until(lambda: drain(servers[0], "edge-2").status == 200, "drains are taken again")
    assert router.nodes() == ALL - {"edge-1", "edge-2"}


def test_a_router_without_redis_and_without_a_state_file_names_nobody(tmp_path: Path, redis: RedisServer) -> None:
    """It is alive and not ready, and says so, until Redis is there."""
    redis.kill()
    with a_running_router(tmp_path / "router", source=by_store(redis.url, more=""), ready=False) as router:
        assert (router.get("/livez").status, router.get("/readyz").status) == (200, 503)
        answer = router.get("/route/edge?key=1")
        assert (answer.status, answer.document["id"], answer.retry_after) == (503, "not-ready", "1")
        redis.start()
        wait_until(router.is_ready, "it has loaded what there is")
        assert router.get("/route/edge?key=1").document["id"] == "no-nodes"


def test_when_redis_has_lost_writes_drained_nodes_stay_out(fleet: Fleet, redis: RedisServer) -> None:
    """Emptied: whatever the servers write back when, no answer of the router names the node in between."""
    servers, router = fleet
    assert drain(servers[0], "edge-1").status == 200
    assert drain(servers[0], "edge-2").status == 200
    redis.cli("flushall")
    seen = set[str]()

    def is_followed() -> bool:
        seen.update(router.nodes(30))
        drains = {key.split("/")[0] for key in redis.cli("hkeys", "{dnsd}:drains").split()}
        return drains == {"edge-1", "edge-2"} and waits_for(servers[0]).get("router-1", 0) >= 2

    wait_until(is_followed, "the drains are written back, and the router follows them")
    assert drain(servers[1], "edge-3").status == 200
    assert router.nodes() == ALL - {"edge-1", "edge-2", "edge-3"}
    assert seen == ALL - {"edge-1", "edge-2"}


def test_a_router_that_ends_in_order_is_not_waited_for(shared_fleet: Fleet, shared_redis: RedisServer) -> None:
    """It takes its word out of the store."""
    servers, router = shared_fleet
    assert router.stop() == 0
    assert "router-1" not in shared_redis.cli("hkeys", "{dnsd}:consumers").split()
    reply = drain(servers[0], "edge-1")
    assert "router-1" not in {each["consumer"] for each in reply.document["applied"]}


def test_a_redis_that_is_somebody_elses_ends_the_router(tmp_path: Path, redis: RedisServer) -> None:
    """Exit status 1 and one line, as waiting would not help."""
    redis.cli("set", "{dnsd}:schema", json.dumps(99))
    router = RouterProcess(tmp_path / "router", source=by_store(redis.url))
    assert router.launch().wait(PATIENCE_SECONDS) == 1
    assert "layout 99" in router.said()
    assert "Traceback" not in router.said()


async def test_the_library_follows_and_is_waited_for(shared_fleet: Fleet, shared_redis: RedisServer) -> None:
    """In a program of one's own: the drains are loaded before the block begins, and acknowledged within it."""
    servers, _ = shared_fleet
    assert drain(servers[0], "edge-1").status == 200
    async with open_router(shared_redis.url, id="own-router") as own:
        assert {own.select("edge", key=str(key)).node.id for key in range(100)} == ALL - {"edge-1"}
        await asyncio.to_thread(wait_until, lambda: "own-router" in waits_for(servers[0]), "it is known")
        reply = await asyncio.to_thread(drain, servers[0], "edge-2")
        assert "own-router" in {each["consumer"] for each in reply.document["applied"]}
        assert {own.select("edge", key=str(key)).node.id for key in range(100)} == ALL - {"edge-1", "edge-2"}
    assert "own-router" not in shared_redis.cli("hkeys", "{dnsd}:consumers").split()
