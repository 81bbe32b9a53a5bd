"""Knot, NSD and BIND as secondaries of a running server, set as docs/integrations/secondaries.md prints it."""

from __future__ import annotations

import http.client
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dnsd.config.loading import load_settings
from dnsd.config.transfer import TransferKey
from dnsd.core.serials import is_newer
from tests.support.background import Background
from tests.support.redis import redis_server
from tests.support.redis_fleet import NODES, call, drain, start_all, undrain
from tests.support.relay import Relay
from tests.support.secondaries import OPEN, ZONES, Ports, Secondary, block, secondaries, transferred
from tests.support.servers import LOOK_SECONDS, Server, free_port, wait_until

POOL = "edge.example.org"
CHANGES = 1_000
THREADS = 4


# Pools of a role that no node has: in place of nothing, below a pool for all other names, and for all names.
EMPTY_POOLS = """
[[pool]]
name = "none.example.org."
role = "storage"
when_empty = "nodata"

[[pool]]
name = "*.wild.example.org."
role = "edge"
when_empty = "nodata"

[[pool]]
name = "none.wild.example.org."
role = "storage"
when_empty = "servfail"

[[pool]]
name = "*.none.example.org."
role = "storage"
when_empty = "nodata"
"""
NAMES_OF_EMPTY_POOLS = ("none.example.org", "none.wild.example.org", "any.none.example.org")


def short_lived(text: str) -> str:
    """Return a configuration whose pools have a TTL of 1 s, so that caches are soon clear."""
    return re.sub(r"^(when_empty = )", r"ttl = 1\n\1", text, flags=re.MULTILINE)


@dataclass
class World:
    """A server and its secondaries."""

    server: Server
    far: dict[str, Secondary]
    ports: Ports

    def everywhere(self, holds: Callable[[Secondary], bool], what: str) -> dict[str, float]:
        """Wait until something holds at every secondary; return after how many seconds it did at each."""
        began = time.monotonic()
        took: dict[str, float] = {}

        def look() -> bool:
            for name in self.far.keys() - took.keys():
                if holds(self.far[name]):
                    took[name] = time.monotonic() - began
            return took.keys() == self.far.keys()

        wait_until(look, what)
        return took

    def key(self) -> TransferKey:
        """Return one of the page's keys."""
        transfer = load_settings(self.server.config).transfer
        assert transfer is not None
        return next(iter(transfer.keys.values()))

    def own_serial(self) -> int:
        return int(self.server.dig("+short", "example.org", "SOA").split()[2])

    def level(self) -> None:
        """Wait until all secondaries have the server's serial."""
        wait_until(
            lambda: {each.serial() for each in self.far.values()} == {self.own_serial()}, "all have the same serial"
        )

    def blockers(self, node: str) -> list[str]:
        """Return what stands against stopping a node."""
        document: dict[str, Any] = json.loads(self.server.get(f"/v1/nodes/{node}/status"))
        assert document["safe_to_stop"] is (not document["blockers"])
        found: list[str] = document["blockers"]
        return found

    def wait_until_safe(self, node: str) -> None:
        """Wait until a node may be stopped."""
        wait_until(lambda: not self.blockers(node), f"{node} may be stopped")

    def listed(self) -> dict[str, tuple[bool, bool]]:
        """Return the secondaries among the consumers: whether each is behind, and whether it is live."""
        items = self.server.cli("consumers")["items"]
        return {each["id"]: (each["behind"], each["live"]) for each in items if each["kind"] == "secondary"}

    def count(self, metric: str, **labels: str) -> float:
        """Return a metric's value for these labels; 0 where it has none."""
        lines = self.server.get("/metrics").splitlines()
        found = (re.fullmatch(rf"{metric}\{{(.*)\}} (.*)", line) for line in lines)
        values = {frozenset(re.findall(r'(\w+)="(.*?)"', match[1])): float(match[2]) for match in found if match}
        return values.get(frozenset(labels.items()), 0.0)

    def zones(self, name: str, state: str) -> float:
        """Return how many zones of a secondary are in a state."""
        return self.count("dnsd_secondary_zones", secondary=f"{name}-1", state=state)

    def requests(self, result: str) -> float:
        """Return how many transfers came to something."""
        return self.count("dnsd_adapter_requests_total", adapter="transfer", result=result)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The page's server, with the page's three secondaries."""
    with ExitStack() as stack:
        ports, far = stack.enter_context(secondaries())
        tables = ports.put(block("toml")) + EMPTY_POOLS
        server = Server(tmp_path_factory.mktemp("primary"), fleet=NODES, ttl=1, workers=1, more=tables)
        server.config.write_text(short_lived(server.config.read_text()))
        stack.callback(server.close)
        server.start(ready=False)
        for each in far.values():
            each.start()
        for each in far.values():
            each.wait_until_ready()
        yield World(server, far, ports)


def test_a_drain_reaches_every_secondary_and_waits_for_them(
    world: World, record_property: Callable[[str, object], None]
) -> None:
    """The node leaves the pool everywhere and keeps its own name; caches count from the last secondary."""
    world.level()
    for each in world.far.values():
        assert each.answer(POOL) == {addresses[0] for addresses, _, _ in NODES.values()}
    gone = NODES["edge-1"][0][0]
    drain(world.server, "edge-1")
    took = world.everywhere(lambda each: gone not in each.answer(POOL), "edge-1 has left")
    record_property(
        "figure",
        "from its acknowledgement, a drain took " + ", ".join(f"{s:.2f} s to {name}" for name, s in took.items()),
    )
    for each in world.far.values():
        assert each.answer("edge-1.nodes.example.org") == {gone}
    world.wait_until_safe("edge-1")
    wait_until(lambda: world.listed() == {f"{name}-1": (False, True) for name in world.far}, "all are listed as level")
    undrain(world.server, "edge-1")
    world.everywhere(lambda each: gone in each.answer(POOL), "edge-1 is back")


def test_an_empty_pool_is_there_without_addresses_at_every_secondary(world: World) -> None:
    """NODATA, and neither NXDOMAIN nor the wildcard above, also of a pool that says SERVFAIL; dnsd has no such TXT."""
    world.level()
    for each in world.far.values():
        assert _pools_have(set(), each)
        assert len(each.answer("any.wild.example.org")) == len(NODES)
    assert [world.server.dig("+short", name, "TXT") for name in NAMES_OF_EMPTY_POOLS] == [""] * 3
    node = {"addresses": ["192.0.2.200"], "roles": ["storage"], "monitor": "none"}
    assert call(world.server, "PUT", "/v1/nodes/store-1", node).status in (200, 201)
    world.everywhere(lambda each: _pools_have({"192.0.2.200"}, each), "the pools have a node and no placeholder")
    assert call(world.server, "DELETE", "/v1/nodes/store-1").status in (200, 204)
    world.everywhere(lambda each: _pools_have(set(), each), "the pools are empty again")


def _pools_have(addresses: set[str], secondary: Secondary) -> bool:
    """Say whether each pool that may be empty has these addresses, and the placeholder where it has none."""
    expected = [addresses, set(), set() if addresses else {'"no node of this pool serves"'}]
    return all(
        [secondary.answer(name, rdtype) for rdtype in ("A", "AAAA", "TXT")] == expected for name in NAMES_OF_EMPTY_POOLS
    )


def test_a_secondary_that_stands_still_is_named_until_it_goes_on(world: World) -> None:
    """The one that does not answer blocks by name, and only while it does not."""
    still = world.far["bind"]
    still.signal(signal.SIGSTOP)
    try:
        drain(world.server, "edge-2")
        silent = re.compile(
            r"edge: secondary bind-1 has not answered since \S+Z \(example\.org\.: no answer within 2 s\)"
        )
        wait_until(lambda: any(map(silent.fullmatch, world.blockers("edge-2"))), "bind stands against it")
        wait_until(lambda: all(map(silent.fullmatch, world.blockers("edge-2"))), "bind alone stands against it")
        assert world.blockers("edge-2")
    finally:
        still.signal(signal.SIGCONT)
    world.wait_until_safe("edge-2")
    undrain(world.server, "edge-2")


def test_a_thousand_changes_in_a_row_leave_the_same_zones_everywhere(
    world: World, record_property: Callable[[str, object], None]
) -> None:
    """Each with a version of its own, as far as the store is quick enough; after the last, all zones are identical."""
    text = world.server.config.read_text()
    world.server.config.write_text(text.replace('coalesce = "1s"', 'coalesce = "0s"'))
    world.server.reload()
    before, began = world.own_serial(), time.monotonic()
    threads = [threading.Thread(target=_change, args=(world.server, f"edge-{number + 1}")) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    drain(world.server, "edge-5")
    world.everywhere(lambda each: NODES["edge-5"][0][0] not in each.answer(POOL), "the last change is there")
    world.level()
    level = time.monotonic() - began - took
    versions = (world.own_serial() - before) // 2  # a store gives even serials
    record_property("figure", f"{CHANGES} changes in {took:.1f} s, {versions} versions, level {level:.1f} s later")
    for zone in ZONES:
        own = transferred(world.ports.primary, zone, key=world.key())
        assert own
        for each in world.far.values():
            assert transferred(each.port, zone) == own
    undrain(world.server, "edge-5")
    assert world.requests("ixfr") > world.requests("axfr")
    for name in world.far:
        assert world.count("dnsd_notifies_total", secondary=f"{name}-1", result="ok") > 0
    wait_until(lambda: all(world.zones(name, "level") == len(ZONES) for name in world.far), "the metric has them level")


def test_a_server_that_was_killed_goes_on_with_its_serials(world: World) -> None:
    """Neither is a serial given twice nor goes one back; secondaries go on from where they are."""
    drain(world.server, "edge-6")
    world.everywhere(lambda each: NODES["edge-6"][0][0] not in each.answer(POOL), "edge-6 has left")
    before = {name: each.serial() for name, each in world.far.items()}
    world.server.kill()
    world.server.start()
    assert before == dict.fromkeys(world.far, world.own_serial())
    world.wait_until_safe("edge-6")
    undrain(world.server, "edge-6")
    world.everywhere(lambda each: NODES["edge-6"][0][0] in each.answer(POOL), "edge-6 is back")
    for name, each in world.far.items():
        now, then = each.serial(), before[name]
        assert now is not None
        assert then is not None
        assert is_newer(now, then)


def test_a_secondary_with_another_secret_gets_nothing(world: World) -> None:
    """It is refused and counted, the log says why without the secret, and it serves nothing."""
    secret = re.search(r'secret = "(.*)"', block("toml"))
    assert secret is not None
    change = {secret[1]: secret[1].swapcase()}
    with secondaries("knot", primary=world.ports.primary, change={"knot": change}) as (_, stranger):
        stranger["knot"].start()
        wait_until(lambda: "the signature is wrong" in world.server.said(), "it is refused")
        wait_until(lambda: "no usable master" in stranger["knot"].said(), "it knows")
        assert stranger["knot"].serial() is None
    assert world.requests("refused") > 0
    assert secret[1] not in world.server.said()


def _change(server: Server, node: str) -> None:
    """Make this thread's part of the changes: drain and release one node again and again."""
    connection = http.client.HTTPConnection("127.0.0.1", server.admin_port)
    body = json.dumps({"reason": "again", "holder": "ops"})
    for number in range(CHANGES // THREADS):
        if number % 2:
            connection.request("DELETE", f"/v1/nodes/{node}/drain?holder=ops")
        else:
            headers = {"Content-Type": "application/json"}
            connection.request("PUT", f"/v1/nodes/{node}/drain", body=body, headers=headers)
        response = connection.getresponse()
        assert response.status in (200, 202), response.read()
        response.read()
    connection.close()


# --- two primaries ----------------------------------------------------------------------------------------------------

# As the page's table says: both servers in the place of one.
BOTH = {
    "knot": {
        **OPEN["knot"],
        "  - id: dnsd\n    address: 192.0.2.1@5354\n    key: knot-1.example.org.\n": (
            "  - id: dnsd-1\n    address: 192.0.2.1@5354\n    key: knot-1.example.org.\n"
            "  - id: dnsd-2\n    address: 127.0.0.1@{second}\n    key: knot-1.example.org.\n"
        ),
        "master: dnsd": "master: [dnsd-1, dnsd-2]",
    },
    "bind": {
        '  192.0.2.1 port 5354 key "bind-1.example.org.";\n': (
            '  192.0.2.1 port 5354 key "bind-1.example.org.";\n  127.0.0.1 port {second} key "bind-1.example.org.";\n'
        )
    },
}


class Watch(Background):
    """Notes the serials that secondaries and servers answer."""

    def __init__(self, asked: Mapping[str, Callable[[], int | None]]) -> None:
        super().__init__()
        self.seen: dict[str, list[int]] = {name: [] for name in asked}
        self._asked = asked

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            for name, ask in self._asked.items():
                serial = ask()
                if serial is not None and self.seen[name][-1:] != [serial]:
                    self.seen[name].append(serial)


def _change_file(world: World, number: int) -> int:
    """Have a server load another zone file; return the serial that comes of it."""
    file, before = world.server.folder / "example.org.zone", world.own_serial()
    file.write_text(f"{file.read_text()}n{number} A 192.0.2.99\n")
    assert world.server.process is not None
    world.server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: world.own_serial() != before, "the file is in a version")
    return world.own_serial()


@contextmanager
def two_primaries(folder: Path) -> Iterator[tuple[list[World], Relay]]:
    """Run two servers on one Redis with the same secondaries; the first one reaches it through a relay."""
    second = free_port()
    change = {
        name: {before: after.replace("{second}", str(second)) for before, after in texts.items()}
        for name, texts in BOTH.items()
    }
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder / "redis"))
        relay = Relay(redis.port)
        stack.callback(relay.close)
        relay.start()
        ports, far = stack.enter_context(secondaries("knot", "bind", change=change))
        tables = re.sub(r'\[\[transfer.secondary\]\]\nname = "nsd-1"\n(?:.+\n)+', "", block("toml"))
        servers = []
        for name, port, store in (("ns1", ports.primary, relay.url), ("ns2", second, redis.url)):
            (folder / name).mkdir()
            more = Ports(port, ports.of).put(tables)
            server = Server(folder / name, id=name, store=store, fleet=NODES, ttl=1, workers=1, more=more)
            text = short_lived(server.config.read_text()).replace('coalesce = "1s"', 'coalesce = "100ms"')
            server.config.write_text(text)
            stack.callback(server.close)
            servers.append(server)
        start_all(servers)
        for each in far.values():
            each.start()
        for each in far.values():
            each.wait_until_ready()
        yield [World(server, far, ports) for server in servers], relay


def test_two_servers_on_one_redis_are_primaries_of_the_same_secondaries(tmp_path: Path) -> None:
    """Serials never go back, whoever makes the change and whoever dies; both say when a node may be stopped.

    One that is cut off from Redis and makes more versions than the other one keeps no node in answers.
    """
    with two_primaries(tmp_path) as (worlds, relay):
        servers = [world.server for world in worlds]
        with Watch({name: each.serial for name, each in worlds[0].far.items()}) as watch:
            for number in range(20):
                own, other = servers[number % 2], servers[1 - number % 2]
                node = f"edge-{1 + number % 7}"
                (undrain if number >= 7 and number < 14 else drain)(own, node)
                if number % 5 == 0:
                    drain(other, "edge-8")
                    undrain(other, "edge-8")
            gone = {NODES[f"edge-{number}"][0][0] for number in range(1, 7)}
            for world in worlds:
                world.everywhere(lambda each: not gone & each.answer(POOL), "all that are drained have left")
                world.wait_until_safe("edge-1")
            _one_is_killed(worlds)
            _one_is_cut_off(worlds, relay)
        for serials in watch.seen.values():
            assert len(serials) > 2
            assert all(is_newer(after, before) for before, after in pairwise(serials))


def _one_is_killed(worlds: Sequence[World]) -> None:
    one, two = worlds
    address = NODES["edge-1"][0][0]
    one.server.kill()
    undrain(two.server, "edge-1", query="?timeout=0")
    two.everywhere(lambda each: address in each.answer(POOL), "edge-1 is back")
    one.server.start()
    drain(one.server, "edge-1")
    one.everywhere(lambda each: address not in each.answer(POOL), "edge-1 has left again")
    for world in worlds:
        world.wait_until_safe("edge-1")


def _one_is_cut_off(worlds: Sequence[World], relay: Relay) -> None:
    one, two = worlds
    relay.refuse()
    for number in range(5):
        made_alone = _change_file(one, number)
    two.everywhere(lambda each: each.serial() == made_alone, "the one that is cut off is ahead")
    drain(two.server, "edge-8", query="?timeout=0")
    one.server.kill()
    two.everywhere(lambda each: NODES["edge-8"][0][0] not in each.answer(POOL), "edge-8 has left")
    two.level()
