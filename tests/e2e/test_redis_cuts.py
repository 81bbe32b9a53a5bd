"""The connection to Redis is cut within replies: what is acknowledged stands, and what is not can be asked anew."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.outages import Ledger
from tests.support.redis import redis_server
from tests.support.redis_fleet import Reply, by_all, drain, judging, redis_fleet, undrain
from tests.support.relay import relay_to
from tests.support.servers import wait_until

# Bytes that each connection may still carry to the servers. What answers a commit takes 14, a look for changes some
# hundreds, what is asked when a connection is made some thousands.
BYTES = [*range(1, 15), 20, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800]

Change = Callable[..., Reply]

NODES = ("edge-1", "edge-2", "edge-3", "edge-7")


def test_a_connection_that_is_cut_within_replies_costs_no_answer_and_no_drain(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Rounds of changes, each cut after another number of bytes and asked for until it is acknowledged."""
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    refused = 0
    with (
        redis_server(tmp_path / "redis") as redis,
        relay_to(redis.port) as relay,
        redis_fleet(tmp_path, relay.url) as servers,
        judging(servers) as asker,
    ):
        ledger = Ledger(servers, asker)

        def ask_until_acknowledged(change: Change, node: str) -> None:
            nonlocal refused
            # Not for long: the other server may be cut off for as long as this round lasts.
            if by_all(change(rng.choice(servers), node, query="?wait=applied&timeout=1"), servers):
                return
            refused += 1
            relay.heal()
            wait_until(lambda: by_all(change(rng.choice(servers), node), servers), "it is acknowledged")

        slowest = 0.0
        for number, count in enumerate(BYTES):
            node = NODES[number % len(NODES)]
            relay.cut_within_replies(count)
            if node in ledger.acknowledged:
                ledger.acknowledged.discard(node)
                asker.released(node)
                ask_until_acknowledged(undrain, node)
            else:
                ask_until_acknowledged(drain, node)
                ledger.stand(node)
            relay.heal()
            began = time.monotonic()
            wait_until(lambda: ledger.lost(redis) == [], "every server and Redis have what was acknowledged")
            slowest = max(slowest, time.monotonic() - began)
        took = ledger.converged()
        record_property(
            "figure",
            f"seed {seed}; {len(BYTES)} changes, the connections cut after 1 to {BYTES[-1]} bytes, {refused} not "
            f"acknowledged at first; {asker.figure()}; all servers agree after {slowest:.2f} s at most, converged "
            f"after {took:.2f} s; 0 of {len(ledger.acknowledged)} acknowledged drains lost",
        )
        assert refused > 0
        assert ledger.lost(redis) == []
        for server in servers:
            assert "Traceback" not in server.said(), server.said()
