"""Two drains at once that would break a floor together, over HTTP and over each store: one passes, never both."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest_asyncio

from dnsd.model.pool import Floor
from dnsd.model.state import Action, HistoryEntry
from dnsd.stores.base import MAX_HISTORY_PAGE, DrainStore
from tests.admin.site import Got
from tests.admin.site import Site as Http
from tests.control.rig import EDGE, site_of
from tests.stores.kinds import Kind
from tests.support.fleets import node, pool

ROUNDS = 1000

# Of three nodes, a floor of two lets one go.
FLEET = [node(name, f"192.0.2.{10 + index}") for index, name in enumerate("abc")]
POOLS = [pool(floor=Floor.of(2))]


@pytest_asyncio.fixture
async def stores(kind: Kind, tmp_path: Path) -> AsyncIterator[tuple[DrainStore, DrainStore]]:
    """What two servers that share a store have: for a file, each a connection of its own."""
    async with AsyncExitStack() as stack:
        made: list[DrainStore] = []
        for _ in range(2 if kind.durable else 1):
            store = kind.fresh(tmp_path)
            await store.open()
            stack.push_async_callback(store.close)
            made.append(store)
        yield made[0], made[-1]


async def drain(server: Http, name: str, holder: str) -> Got:
    return await server.drain(name, roles=["edge"], holder=holder)


async def whole_history(store: DrainStore) -> list[HistoryEntry]:
    """Return all of it, newest first, however many pages that takes."""
    entries, following = await store.history(limit=MAX_HISTORY_PAGE)
    found = list(entries)
    while following is not None:
        entries, following = await store.history(before=following, limit=MAX_HISTORY_PAGE)
        found += entries
    return found


async def test_of_two_drains_at_once_that_break_a_floor_together_one_passes(
    stores: tuple[DrainStore, DrainStore],
) -> None:
    """A thousand times, half of them at one server and half at two that share the store; the history agrees."""
    planes = [await site_of(FLEET, POOLS, store=store, server_id=f"ns{n}") for n, store in enumerate(stores)]
    passed: Counter[str] = Counter()
    async with Http(planes[0].plane) as one, Http(planes[1].plane) as other:  # type: ignore[arg-type]
        for turn in range(ROUNDS):
            second = one if turn % 2 else other
            results = await asyncio.gather(drain(one, "a", "ops"), drain(second, "b", "os-update"))
            assert sorted(got.status for got in results) in ([200, 409], [202, 409]), [got.text for got in results]
            (refused,) = (got for got in results if got.status == 409)
            assert refused.problem["id"] == "capacity-floor"
            assert [row["serving_before"] for row in refused.problem["impact"]] == [2]
            winner = "a" if results[0].status != 409 else "b"
            passed[winner] += 1
            released = await one.ask("DELETE", f"/v1/nodes/{winner}/drain?all_holders=true")
            assert released.json["changed"], released.text
    assert passed.total() == ROUNDS
    history = await whole_history(planes[0].store)
    assert [entry.action for entry in history] == [Action.DRAIN_RELEASED, Action.DRAIN_PLACED] * ROUNDS
    assert Counter(entry.node for entry in history) == {name: 2 * times for name, times in passed.items()}
    assert not any(entry.forced for entry in history)
    assert planes[0].plane.pool(EDGE).serving == len(FLEET)
