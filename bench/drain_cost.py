"""What one drain costs, step by step, in fleets of different sizes: pools keep their size, and there are more of them.

In one process, without sockets: the guard, the commit in the store, the fleet, the encoding for the workers, and what a
worker does with it. Run it with `python -m bench.drain_cost`; it prints a table. Nothing here is a test.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dnsd.control.guard import impact_of
from dnsd.core.engine import Engine
from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.core.names import from_text
from dnsd.core.records import Delta, RRset, Snapshot, Zone, ZoneNode
from dnsd.model.drain import ALL_ROLES, Drain, Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.pool import Floor, NodeRecordSpec, PoolSpec
from dnsd.model.state import Action, Change, ChangeRecord, Entity, FleetState, HistoryEntry
from dnsd.stores.base import DrainStore
from dnsd.stores.memory import MemoryStore
from dnsd.stores.sqlite import SqliteStore
from dnsd.workers.channel import encode
from dnsd.workers.tally import Tally

SIZES = (100, 1_000, 10_000, 100_000)  # nodes
DRAINS = 200  # of each fleet, each released again: a round
EXPIRY_SECONDS = 4 * 3600.0
WARM_UP = 20  # rounds that do not count

# Of pools, one after the other; every node is in one of each role. Unit: nodes.
POOL_SIZES = {"edge": (10, 20, 30), "ingest": (30, 10, 20)}

STEPS = ("guard", "commit: memory", "commit: SQLite", "fleet", "encode", "supervisor", "worker", "tally")

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Row:
    """One fleet's medians.

    Args:
        build_seconds: to make the fleet, with all its pools and names.
        microseconds: of each of `STEPS`.
        delta_bytes: of the encoded delta.
    """

    nodes: int
    pools: int
    build_seconds: float
    microseconds: dict[str, float]
    delta_bytes: int


def measure(sizes: Sequence[int] = SIZES, *, drains: int = DRAINS) -> list[Row]:
    """Return a row for each fleet.

    Args:
        sizes: of the fleets, in nodes.
        drains: rounds that count.
    """
    return [asyncio.run(_measured(size, drains)) for size in sizes]


def make_fleet(size: int, *, now: float) -> Fleet:
    """Return a fleet of so many nodes, each in two pools of 10 to 30 nodes, all of them up."""
    groups = {role: _groups(size, sizes) for role, sizes in POOL_SIZES.items()}
    pools = tuple(
        PoolSpec(owner=f"{role}-{number}.example.org.", role=role, match={role: str(number)}, floor=Floor.of("50%"))
        for role, of_node in groups.items()
        for number in range(of_node[-1] + 1)
    )
    nodes = {
        f"node-{number}": Node(
            id=f"node-{number}",
            addresses=(
                f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
                f"2001:db8::{number >> 16:x}:{number & 65535:x}",
            ),
            roles=tuple(POOL_SIZES),
            labels={role: str(of_node[number]) for role, of_node in groups.items()},
            monitor=Monitor.NONE,
        )
        for number in range(size)
    }
    zone = _zone()
    record = NodeRecordSpec(template="{id}.nodes.example.org.")
    return Fleet(FleetSpec(zones={zone.apex: zone}, pools=pools, node_records=(record,)), nodes, FleetState(), now=now)


def _groups(size: int, sizes: Sequence[int]) -> list[int]:
    """Return the group of each node, where groups have these sizes in turn."""
    found: list[int] = []
    while len(found) < size:
        group = found[-1] + 1 if found else 0
        found += [group] * sizes[group % len(sizes)]
    return found[:size]


def _zone() -> Zone:
    apex = from_text("example.org.")
    soa = RRset(6, 300, (apex + apex + bytes(20),))
    return Zone(apex, {apex: ZoneNode({6: soa})}, 60)


@asynccontextmanager
async def _stores() -> AsyncIterator[dict[str, DrainStore]]:
    with tempfile.TemporaryDirectory() as folder:
        stores: dict[str, DrainStore] = {
            "commit: memory": MemoryStore(),
            "commit: SQLite": SqliteStore(Path(folder) / "state.db"),
        }
        for store in stores.values():
            await store.open()
        yield stores
        for store in stores.values():
            await store.close()


async def _measured(size: int, drains: int) -> Row:
    now = time.time()
    began = time.perf_counter()
    fleet = make_fleet(size, now=now)
    build_seconds = time.perf_counter() - began
    engine = Engine(_snapshot(fleet))
    gc.collect()
    gc.freeze()  # as both processes do once they have started
    keys = list(fleet.nodes)
    sizes: list[int] = []
    took: dict[str, list[float]] = {step: [] for step in STEPS}
    async with _stores() as stores:
        bench = _Bench(fleet, engine, stores, took, sizes)
        for place in range(WARM_UP + drains):
            if place == WARM_UP:
                for times in took.values():
                    times.clear()
            await bench.round(keys[place * len(keys) // (WARM_UP + drains)], now)
    gc.unfreeze()
    medians = {step: statistics.median(times) * 1e6 for step, times in took.items()}
    return Row(size, len(fleet.pools), build_seconds, medians, round(statistics.median(sizes)))


def _snapshot(fleet: Fleet) -> Snapshot:
    return Snapshot(1, fleet.revision, fleet.spec.zones, dict(fleet.overlay))


class _Bench:
    """A fleet and a worker, through which drains go as they do in a server."""

    def __init__(
        self,
        fleet: Fleet,
        engine: Engine,
        stores: dict[str, DrainStore],
        took: dict[str, list[float]],
        sizes: list[int],
    ) -> None:
        self._fleet = fleet
        self._engine = engine
        self._stores = stores
        self._took = took
        self._sizes = sizes
        self._pool_side = _snapshot(fleet)
        self._tally = Tally()
        self._generation = 1

    async def round(self, node: str, now: float) -> None:
        """Drain a node, and release it."""
        await self._change(node, _drain(node, now, revision=self._fleet.revision + 1), now)
        await self._change(node, None, now)

    async def _change(self, node: str, drain: Drain | None, now: float) -> None:
        revision = self._fleet.revision + 1
        change = Change(Entity.DRAIN, f"{node}/{ALL_ROLES}/bench", drain)
        drains = [] if drain is None else [drain]
        self._timed("guard", lambda: impact_of(self._fleet, node, drains, now=now))
        for step, store in self._stores.items():
            began = time.perf_counter()
            await store.commit(
                expected_revision=revision - 1, changes=[change], history=[_entry(change, revision, now)], at=now
            )
            self._took[step].append(time.perf_counter() - began)
        record = ChangeRecord(revision, now, change)
        done = self._timed("fleet", lambda: self._fleet.apply([record], now=now))
        self._generation += 1
        delta = Delta(self._generation, revision, put=done.put, removed=tuple(sorted(done.removed)))
        encoded = self._timed("encode", lambda: encode(delta))
        self._sizes.append(len(encoded.data))
        self._pool_side = self._timed("supervisor", lambda: self._pool_side.advanced(delta))
        self._work(delta)

    def _work(self, delta: Delta) -> None:
        """Do what a worker does with a delta."""
        before = self._engine.snapshot
        began = time.perf_counter()
        replaced = before.replaced_by(delta)
        after = before.advanced(delta)
        self._engine.swap(after)
        self._took["worker"].append(time.perf_counter() - began)
        self._timed("tally", lambda: self._tally.hand_on(replaced, after.overlay))

    def _timed(self, step: str, work: Callable[[], ResultT]) -> ResultT:
        began = time.perf_counter()
        result = work()
        self._took[step].append(time.perf_counter() - began)
        return result


def _drain(node: str, now: float, *, revision: int) -> Drain:
    return Drain(
        node=node,
        role=ALL_ROLES,
        holder="bench",
        mode=Mode.DRAINING,
        reason="bench",
        actor="bench",
        created_at=now,
        starts_at=now,
        expires_at=now + EXPIRY_SECONDS,
        revision=revision,
    )


def _entry(change: Change, revision: int, now: float) -> HistoryEntry:
    action = Action.DRAIN_RELEASED if change.value is None else Action.DRAIN_PLACED
    after = () if change.value is None else (change.value.to_json(),)
    return HistoryEntry(revision=revision, at=now, actor="bench", action=action, node=change.node, after=after)


def table(rows: Sequence[Row]) -> str:
    """Return rows as text: a column for each fleet."""
    lines = [f"{'':22}" + "".join(f"{f'{row.nodes:,} nodes':>15}" for row in rows)]
    lines.append(f"{'pools':22}" + "".join(f"{row.pools:15,}" for row in rows))
    lines.append(f"{'build, s':22}" + "".join(f"{row.build_seconds:15.2f}" for row in rows))
    lines += [f"{step + ', µs':22}" + "".join(f"{row.microseconds[step]:15.1f}" for row in rows) for step in STEPS]
    lines.append(f"{'delta, bytes':22}" + "".join(f"{row.delta_bytes:15,}" for row in rows))
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Print the table; sizes of fleets may be named."""
    print(table(measure([int(each) for each in arguments] or SIZES)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
