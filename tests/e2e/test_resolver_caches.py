"""A caching resolver in front: what its clients get around a drain, scheduled and at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.resolvers import Resolver, resolving
from tests.support.servers import serving, wait_until

pytestmark = pytest.mark.alone

TTL = 5
NAME = "pair.example.org"
DRAINED = "192.0.2.31"
FLEET = {f"store-{number}": ([f"192.0.2.3{number}"], ["storage"], "eu") for number in (1, 2)}
POOL = f'\n[[pool]]\nname = "{NAME}."\nrole = "storage"\nttl = {TTL}\n'

# A resolver that counts in whole seconds may hold an answer for up to one more than its TTL; the least TTL is 1 s.
LEAST_HOLD_SECONDS = 2.0


def last_named(resolver: Resolver, *, until: float) -> float:
    """Ask as a busy client does until an instant; return when the drained node was last handed out."""
    last = 0.0
    while (now := time.time()) < until:
        if DRAINED in resolver.ask(NAME)[0]:
            last = now
        time.sleep(0.05)
    return last


def test_a_scheduled_drain_leaves_no_client_of_a_resolver_with_the_node(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """With the countdown no answer outlives T; a drain that comes at once is still handed out from the cache."""
    with (
        serving(tmp_path, store="memory", fleet=FLEET, more=POOL) as server,
        resolving(server, tmp_path / "resolver") as resolver,
    ):
        starts_at = time.time() + 2 * TTL
        text = datetime.fromtimestamp(starts_at, UTC).isoformat()
        server.cli("drain", "store-1", "--reason", "disk", "--at", text)
        assert DRAINED in resolver.ask(NAME)[0]
        scheduled = last_named(resolver, until=starts_at + TTL) - starts_at
        assert scheduled < LEAST_HOLD_SECONDS

        server.cli("undrain", "store-1", "--wait", "applied")
        # A fresh answer in the cache, as a busy resolver has it sooner or later.
        wait_until(lambda: DRAINED in (found := resolver.ask(NAME))[0] and found[1] >= TTL - 1, "it is cached anew")
        server.cli("drain", "store-1", "--reason", "disk", "--wait", "applied")
        began = time.time()
        at_once = last_named(resolver, until=began + TTL + 2) - began
        figure = (
            f"TTL {TTL} s: last handed out {scheduled:+.2f} s around T when scheduled, {at_once:+.2f} s when at once"
        )
        record_property("figure", figure)
        assert at_once > LEAST_HOLD_SECONDS
        assert at_once < TTL + 1
