"""A caching resolver in front: what its clients get around a drain, scheduled and at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.redis_fleet import drain
from tests.support.resolvers import Resolver, resolving
from tests.support.servers import serving
from tests.support.standstill import without_standstill

pytestmark = pytest.mark.alone

TTL = 5
DRAINED = "192.0.2.31"
FLEET = {f"store-{number}": ([f"192.0.2.3{number}"], ["storage"], "eu") for number in (1, 2)}
NAMES = ("steady.example.org", "late.example.org", "last.example.org")
POOLS = "".join(f'\n[[pool]]\nname = "{name}."\nrole = "storage"\nttl = {TTL}\n' for name in NAMES)

# How long before T each name is asked for; "steady" is asked for all the time. A name that nobody has asked for before
# is sure to be cached with the TTL of that moment.
LATE_SECONDS, LAST_SECONDS = 2.5, 1.5

# Half a second is to spare in the distances before T, and a tenth of one after it: less than that. Unit: seconds.
STANDSTILL_SECONDS = 0.05


def named(resolver: Resolver, name: str) -> bool:
    return DRAINED in resolver.ask(name)[0]


def wait_for(instant: float, resolver: Resolver) -> None:
    """Ask for the steady name, as busy clients do, until an instant."""
    while time.time() < instant:
        resolver.ask(NAMES[0])
        time.sleep(0.02)


def handed_out(resolver: Resolver, *, seconds: float) -> dict[str, float]:
    """Ask for all names for a while; return when each was last answered with the drained node, from the start on."""
    began = time.time()
    last: dict[str, float] = {}
    while (now := time.time() - began) < seconds:
        last |= {name: now for name in NAMES if named(resolver, name)}
        time.sleep(0.02)
    return last


def last_handed_out(folder: Path, *, scheduled: bool) -> dict[str, float]:
    """Drain the node at T, and return when after T each name was last answered with it. T is a whole second.

    Unbound's clock has whole seconds, too.

    Args:
        scheduled: T is known long before; otherwise the drain is placed then.
    """
    folder.mkdir()
    with (
        serving(folder, store="memory", fleet=FLEET, more=POOLS) as server,
        resolving(server, folder / "resolver") as resolver,
    ):
        starts_at = float(int(time.time()) + TTL + 3)
        if scheduled:
            assert drain(server, "store-1", starts_at=datetime.fromtimestamp(starts_at, UTC).isoformat()).status < 300
        for name, before in zip(NAMES[1:], (LATE_SECONDS, LAST_SECONDS), strict=True):
            wait_for(starts_at - before, resolver)
            addresses, ttl = resolver.ask(name)
            assert DRAINED in addresses
            assert ttl == (int(before) if scheduled else TTL)
        wait_for(starts_at, resolver)
        if not scheduled:
            assert drain(server, "store-1").status == 200
        return handed_out(resolver, seconds=TTL - LATE_SECONDS)


def test_only_the_countdown_keeps_a_drained_node_from_clients_of_a_resolver(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """In the second after T nobody is handed the node where T was known before; where it was not, caches still have it.

    Both ask the same at the same distance from T.
    """

    def experiment(number: int) -> dict[bool, dict[str, float]]:
        with ThreadPoolExecutor() as threads:
            running = {
                scheduled: threads.submit(last_handed_out, tmp_path / f"{name}-{number}", scheduled=scheduled)
                for name, scheduled in (("scheduled", True), ("at-once", False))
            }
        last = {scheduled: each.result() for scheduled, each in running.items()}
        judge(last)
        return last

    last = without_standstill(experiment, most_seconds=STANDSTILL_SECONDS)
    record_property("figure", f"TTL {TTL} s: last handed out after T, in seconds, by whether T was known: {last}")


def judge(last: dict[bool, dict[str, float]]) -> None:
    """Hold against what is promised when each name was last handed out, by whether T was known."""
    late = {scheduled: [each.get(name, 0.0) for name in NAMES[1:]] for scheduled, each in last.items()}
    # A few milliseconds: what was asked just before T may be answered just after.
    assert max(late[True]) < 0.1
    # The steady name may have been fetched in the last second, and 1 s is the least TTL.
    assert last[True].get(NAMES[0], 0.0) < 1.1
    assert min(late[False]) > 1.0
