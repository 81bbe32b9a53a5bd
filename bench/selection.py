"""What one choice of the router's library costs, by the size of the fleet; `python -m bench.selection` prints it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.context import Context
from bench.owned import on_cores
from bench.report import Section, Table
from dnsd.model.drain import ALL_ROLES, Drain, Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.report import Report
from dnsd.model.state import Change, ChangeRecord, Entity, FleetState
from dnsd.router import FleetView, Router

TITLE = "What the router's choice costs, by the size of the fleet"

SIZES = (10, 100, 1_000, 10_000, 100_000)  # nodes
QUICK_SIZES = (10, 1_000)
CALLS, QUICK_CALLS = 20_000, 2_000
BATCH = 1_000  # calls that are timed together: few enough for some batches to be left alone by the machine
REGIONS = ("eu", "us", "ap", "sa")

INTRO = (
    "Microseconds of CPU a call of `Router.select`, with {calls:,} keys: the best batch of 1,000 in {rounds} rounds. "
    "In one process, without sockets. Every node reports; a tenth of them is draining, one in twenty is down. "
    "`sessions` passes over nodes with more than 1.25 times their part. `half out`: every second node is draining. "
    "`drain` is what one change of a drain takes, and `build` what it takes to put the fleet into memory."
)


@dataclass(frozen=True, slots=True)
class Row:
    """One fleet's figures: microseconds, but for the milliseconds of `build`."""

    nodes: int
    key: float
    near: float
    sessions: float
    half_out: float
    drain: float
    build: float


def make_state(size: int, *, now: float, draining: int = 10) -> FleetState:
    """Return a fleet of edges in four regions, with weights of 50 to 150; one in `draining` is drained."""
    nodes = {
        f"edge-{number}": Node(
            id=f"edge-{number}",
            addresses=(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",),
            roles=("edge",),
            region=REGIONS[number % len(REGIONS)],
            weight=50 + number % 101,
            monitor=Monitor.AGENT,
        )
        for number in range(size)
    }
    reports = {
        name: Report(
            node=name,
            sequence=1,
            observed_at=now,
            received_at=now,
            health={"edge": number % 20 != 7},
            sessions={"edge": {"viewers": node.weight}},
        )
        for number, (name, node) in enumerate(nodes.items())
    }
    drains = [a_drain(name, now) for number, name in enumerate(nodes) if number % draining == draining - 1]
    return FleetState(revision=1, nodes=nodes, drains={each.key: each for each in drains}, reports=reports)


def a_drain(node: str, now: float) -> Drain:
    """Return a drain that lasts."""
    return Drain(
        node=node, role=ALL_ROLES, holder="bench", mode=Mode.DRAINING, reason="bench", actor="bench",
        created_at=now, starts_at=now, expires_at=None, revision=1,
    )  # fmt: skip


def measure(size: int, *, calls: int, rounds: int) -> Row:
    """Return the figures of one fleet."""
    now = time.time()
    state = make_state(size, now=now)
    view = FleetView(stale_after_seconds=3600.0)
    began = time.thread_time()
    view.replace(state, now=now)
    build = time.thread_time() - began
    router, counting = Router(view), Router(view, session_factor=1.25)
    half = FleetView(stale_after_seconds=3600.0)
    half.replace(make_state(size, now=now, draining=2) if size > 10 else state, now=now)
    halved = Router(half)
    keys = [f"live/stream-{number}" for number in range(calls)]
    only = keys[: max(1, calls // 10)]

    def once(keys: list[str], choose: Callable[[str], object]) -> float:
        best = math.inf
        for _ in range(rounds):
            for begin in range(0, len(keys), BATCH):
                batch = keys[begin : begin + BATCH]
                began = time.thread_time()
                for key in batch:
                    choose(key)
                best = min(best, (time.thread_time() - began) / len(batch))
        return best * 1e6

    def drain_and_return(_key: str) -> None:
        for value in (placed, None):
            change = Change(Entity.DRAIN, placed.key.text, value)
            view.apply([ChangeRecord(view.revision + 1, now, change)], now=now)

    placed = a_drain("edge-0", now)
    return Row(
        nodes=size,
        key=once(keys, lambda key: router.select("edge", key=key)),
        near=once(keys, lambda key: router.select("edge", key=key, near="eu")),
        sessions=once(keys, lambda key: counting.select("edge", key=key)),
        half_out=once(keys, lambda key: halved.select("edge", key=key)),
        drain=once(only, drain_and_return) / 2,
        build=build * 1e3,
    )


def run(context: Context) -> Section:
    """Measure every size."""
    sizes, calls = (QUICK_SIZES, QUICK_CALLS) if context.quick else (SIZES, CALLS)
    rows = []
    with on_cores(frozenset({context.cores.server})):
        for size in sizes:
            rows.append(measure(size, calls=calls, rounds=context.rounds))
            context.say(str(rows[-1]))
    return Section(TITLE, [INTRO.format(calls=calls, rounds=context.rounds), tabulate(rows)])


def tabulate(found: list[Row]) -> Table:
    """Make the table: a column for each fleet."""
    lines: tuple[tuple[str, Callable[[Row], float]], ...] = (
        ("by key, µs", lambda row: row.key),
        ("by key and region, µs", lambda row: row.near),
        ("by key and sessions, µs", lambda row: row.sessions),
        ("by key, half out, µs", lambda row: row.half_out),
        ("drain, µs", lambda row: row.drain),
        ("build, ms", lambda row: row.build),
    )
    rows = [[name, *(f"{read(row):,.1f}" for row in found)] for name, read in lines]
    return Table(["", *(f"{row.nodes:,} nodes" for row in found)], rows)


if __name__ == "__main__":
    print(run(Context(rounds=3)).render(""))
