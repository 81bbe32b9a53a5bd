"""A Redis fleet under Sentinel loses its primary: the servers find the next one, and every drain is still in force."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.outages import Ledger
from tests.support.redis import RedisServer, redis_server
from tests.support.redis_fleet import drain, in_redis, judging, metric, problems, redis_fleet, start_all
from tests.support.relay import Relay, relay_to
from tests.support.sentinels import SentinelFleet, in_step, sentinel_fleet
from tests.support.servers import Server, wait_until

Record = Callable[[str, object], None]

WITH_WAIT = 'state_file = "last-state"\nmin_replicas = 1'


def primary_of(group: SentinelFleet) -> RedisServer:
    """Wait until the sentinels have made another server the primary, and return it."""
    wait_until(lambda: group.group.master_port() != group.master.port, "the sentinels have another primary")
    return group.present_master()


def test_a_failover_by_sentinel_loses_no_acknowledged_drain(tmp_path: Path, record_property: Record) -> None:
    """The primary is killed right after an acknowledgement, with one replica's word required for each."""
    with (
        sentinel_fleet(tmp_path / "redis") as group,
        redis_fleet(tmp_path, group.url, store_more=WITH_WAIT) as servers,
        judging(servers) as asker,
    ):
        ledger = Ledger(servers, asker)
        ledger.drain_two()
        reply = drain(servers[0], "edge-7")
        group.master.kill()
        assert reply.status == 200, reply
        ledger.stand("edge-7")
        killed_at = time.monotonic()
        ledger.noticed()
        primary = primary_of(group)
        found = time.monotonic() - killed_at
        ledger.converged()
        took = time.monotonic() - killed_at
        record_property(
            "figure",
            f"{asker.figure()}; another primary after {found:.2f} s, converged {took:.2f} s after the kill; "
            f"0 of {len(ledger.acknowledged)} acknowledged drains lost",
        )
        ledger.settled(primary)
        assert {metric(server, "dnsd_store_divergences_total") for server in servers} == {0.0}


def test_without_a_replica_a_drain_that_needs_one_is_not_acknowledged(tmp_path: Path) -> None:
    """It is refused as one that a failover could lose, and acknowledged when a replica has it after all."""
    with (
        redis_server(tmp_path / "primary") as primary,
        redis_server(tmp_path / "replica", replica_of=primary) as replica,
    ):
        wait_until(lambda: in_step(replica), "the replica is in step")
        with redis_fleet(tmp_path, primary.url, store_more=WITH_WAIT) as servers:
            replica.pause()
            reply = drain(servers[0], "edge-1")
            assert reply.status == 503, reply
            assert reply.document["id"] == "store-unavailable"
            assert "0 of 1 replicas" in reply.document["detail"]
            (problem,) = problems(servers[0])
            assert problem.startswith("drains cannot be changed: ")
            began = time.monotonic()
            with ThreadPoolExecutor(8) as threads:  # who comes at once does not wait in turn
                replies = list(threads.map(lambda number: drain(servers[0], f"edge-{number}", force=True), range(1, 9)))
            assert {each.status for each in replies} == {503}
            assert time.monotonic() - began < 7.0
            replica.resume()
            wait_until(lambda: not problems(servers[0]), "the server has found out that the replica is back")
            wait_until(lambda: drain(servers[0], "edge-1").status == 200, "it is acknowledged")
            everywhere = {f"edge-{number}" for number in range(1, 9)}
            wait_until(lambda: in_redis(replica) == everywhere, "the replica has it, and all that was not acknowledged")


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary and a replica that hears of it through a relay."""

    primary: RedisServer
    replica: RedisServer
    relay: Relay

    @property
    def url(self) -> str:
        """Where clients find whichever is the primary."""
        return f"redis://127.0.0.1:{self.primary.port},127.0.0.1:{self.replica.port}/0"

    def drain_missed_by_the_replica(self, servers: Sequence[Server]) -> None:
        """Drain a node that both have, then one that only the primary has."""
        assert drain(servers[0], "edge-1").status == 200
        wait_until(lambda: in_redis(self.replica) == {"edge-1"}, "the replica has the first drain")
        self.relay.hold()
        assert drain(servers[1], "edge-2").status == 200

    def fail_over(self) -> None:
        """Kill the primary, and make the replica the next one."""
        self.primary.kill()
        assert in_redis(self.replica) == {"edge-1"}
        self.replica.cli("replicaof", "no", "one")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two servers, and a relay between them."""
    with (
        redis_server(tmp_path / "primary") as primary,
        relay_to(primary.port) as relay,
        redis_server(tmp_path / "replica") as replica,
    ):
        replica.cli("replicaof", "127.0.0.1", str(relay.port))
        wait_until(lambda: in_step(replica), "the replica is in step")
        yield Pair(primary, replica, relay)


def written_back(ledger: Ledger, pair: Pair, *, began: float) -> str:
    """Wait until what the failover has lost is written back, and all is well; return the figures."""
    wait_until(lambda: in_redis(pair.replica) == ledger.acknowledged, "the drain is written back")
    back = time.monotonic() - began
    ledger.converged()
    took = time.monotonic() - began
    assert ledger.lost(pair.replica) == []
    assert sum(metric(server, "dnsd_store_divergences_total") for server in ledger.servers) > 0
    return (
        f"{ledger.asker.figure()}; the failover lost 1 drain, written back {back:.2f} s after it, converged after "
        f"{took:.2f} s; 0 of {len(ledger.acknowledged)} acknowledged drains lost in the end"
    )


def test_a_drain_that_a_failover_loses_stays_in_force_and_is_written_back(
    tmp_path: Path, pair: Pair, record_property: Record
) -> None:
    """A drain is acknowledged while the link to the replica hangs; then that becomes the primary, without the drain."""
    with redis_fleet(tmp_path, pair.url) as servers, judging(servers) as asker:
        pair.drain_missed_by_the_replica(servers)
        ledger = Ledger(servers, asker)
        ledger.stand("edge-1", "edge-2")
        asker.go_on()
        pair.fail_over()
        record_property("figure", written_back(ledger, pair, began=time.monotonic()))


def test_a_drain_that_a_failover_loses_while_no_server_runs_is_in_force_when_they_start(
    tmp_path: Path, pair: Pair, record_property: Record
) -> None:
    """They know it from the files of their last state."""
    with redis_fleet(tmp_path, pair.url) as servers:
        pair.drain_missed_by_the_replica(servers)
        assert [server.stop() for server in servers] == [0, 0]
        pair.fail_over()
        began = time.monotonic()
        start_all(servers)
        with judging(servers) as asker:
            ledger = Ledger(servers, asker)
            ledger.stand("edge-1", "edge-2")
            record_property("figure", written_back(ledger, pair, began=began) + ", the servers' start included")
