"""What every outage of a shared store is held against: what was acknowledged, writes meanwhile, what comes after."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.redis import RedisServer
from tests.support.redis_fleet import Asker, by_all, call, drain, in_redis, listed, outages_told, problems
from tests.support.servers import Server, wait_until

# What "at once" may take on a busy machine. Unit: seconds.
AT_ONCE_SECONDS = 1.5

# A drain of this node is asked for while an outage begins: whether it was taken before that is not known.
UNSURE = "edge-8"

# A drain of this node is asked for when the outage is known, and never taken.
REFUSED = "edge-7"

# Drained after an outage, each through another server.
AFTERWARDS = ("edge-4", "edge-5", "edge-6")


@dataclass(slots=True)
class Ledger:
    """What a fleet has acknowledged.

    Attributes:
        acknowledged: nodes whose drain is to stand.
    """

    servers: Sequence[Server]
    asker: Asker
    acknowledged: set[str] = field(default_factory=set)
    _told_before: dict[str, tuple[int, int]] = field(default_factory=dict)

    def drain(self, server: Server, node: str) -> None:
        """Drain a node for as long as the test lasts; everybody has applied it on return."""
        reply = drain(server, node)
        assert by_all(reply, self.servers), reply
        self.stand(node)

    def stand(self, *nodes: str) -> None:
        """Take note of acknowledged drains."""
        for node in nodes:
            self.acknowledged.add(node)
            self.asker.drained(node)

    def drain_two(self) -> None:
        """Drain two nodes, each through another server, and count outages from here on."""
        self.drain(self.servers[0], "edge-1")
        self.drain(self.servers[-1], "edge-2")
        self._told_before = {server.folder.name: outages_told(server) for server in self.servers}

    def noticed(self) -> float:
        """Wait until every server tells of the outage; return how long that took, in seconds."""
        return wait_until(lambda: all(map(store_problem, self.servers)), "every server tells of the outage")

    def converged(self) -> float:
        """Wait until drains through each server reach all of them; return how long that took, in seconds."""
        began = time.monotonic()
        for server, node in zip(self.servers, AFTERWARDS, strict=False):
            wait_until(functools.partial(self._reaches_all, server, node), "a drain reaches all", seconds=40)
            self.stand(node)
        wait_until(lambda: not any(map(problems, self.servers)), "no server has a problem", seconds=40)
        took = time.monotonic() - began
        self.asker.go_on()
        return took

    def _reaches_all(self, server: Server, node: str) -> bool:
        reply = drain(server, node, query="?wait=applied&timeout=1")
        # From the first one on: whoever acknowledges while another still names the node would not be heard again.
        assert reply.status != 200 or by_all(reply, self.servers), reply
        return reply.status == 200

    def lost(self, redis: RedisServer) -> list[str]:
        """Return where an acknowledged drain is missing, or one stands that is known not to have been taken."""
        there = {server.folder.name: listed(server) for server in self.servers} | {"redis": in_redis(redis)}
        return [
            f"{place} has {sorted(nodes)}" for place, nodes in there.items() if nodes - {UNSURE} != self.acknowledged
        ]

    def outages(self) -> dict[str, tuple[int, int]]:
        """Return how often each server's log has told of an outage, and of its end, since `drain_two`."""
        found = {}
        for server in self.servers:
            began, ended = outages_told(server)
            began_before, ended_before = self._told_before[server.folder.name]
            found[server.folder.name] = began - began_before, ended - ended_before
        return found

    def settled(self, redis: RedisServer) -> None:
        """Hold the end of an outage against what is promised: nothing is lost, each log has told of it once."""
        assert self.lost(redis) == []
        assert self.outages() == {server.folder.name: (1, 1) for server in self.servers}
        for server in self.servers:
            assert "Traceback" not in server.said(), server.said()


def store_problem(server: Server) -> bool:
    """Say whether a server tells that its store is away, while it is ready all the same."""
    document = call(server, "GET", "/readyz").document
    assert document["ready"] is True
    return any("the store is unavailable" in each for each in document["problems"])


def refused_seconds(server: Server, node: str = UNSURE) -> float:
    """Ask for a drain that must be refused for the store's sake; return how long that took, in seconds."""
    reply = drain(server, node)
    assert reply.status == 503, reply
    assert reply.kind == "application/problem+json"
    assert reply.document["id"] == "store-unavailable"
    return reply.seconds


def refused_at_once(servers: Sequence[Server]) -> float:
    """Have each server refuse several writes while it knows of the outage; return the slowest, in seconds."""
    took = [sorted(refused_seconds(server, REFUSED) for _ in range(5)) for server in servers]
    # The middle one: during another one the machine may have stood still.
    assert max(each[2] for each in took) < AT_ONCE_SECONDS
    return max(each[-1] for each in took)
