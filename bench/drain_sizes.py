"""What one drain costs in fleets of different sizes: the part of the page; `drain_cost` measures."""

from __future__ import annotations

from bench import drain_cost
from bench.context import Context
from bench.owned import on_cores
from bench.report import Section, Table

TITLE = "What a drain costs, by the size of the fleet"

QUICK_SIZES, QUICK_DRAINS = (100, 1_000), 20

INTRO = (
    "Medians of {drains} drains, each released again, in one process without sockets; microseconds, step by step. "
    "Pools keep their size, 10 to 30 nodes, and a larger fleet has more of them: a step that takes as long in each "
    "column does not depend on the fleet. `commit` is what the store takes, once for each kind; `worker` and `tally` "
    "are what a worker does with the change."
)


def run(context: Context) -> Section:
    """Measure every size."""
    sizes, drains = (QUICK_SIZES, QUICK_DRAINS) if context.quick else (drain_cost.SIZES, drain_cost.DRAINS)
    rows = []
    with on_cores(frozenset({context.cores.server})):
        for size in sizes:
            rows += drain_cost.measure([size], drains=drains)
            context.say(f"{size:,} nodes: {rows[-1].microseconds}")
    return Section(TITLE, [INTRO.format(drains=drains), tabulate(rows)])


def tabulate(found: list[drain_cost.Row]) -> Table:
    """Make the table: a column for each fleet."""
    rows = [
        ["pools", *(f"{one.pools:,}" for one in found)],
        *([step, *(f"{one.microseconds[step]:,.1f}" for one in found)] for step in drain_cost.STEPS),
        ["bytes for each worker", *(f"{one.delta_bytes:,}" for one in found)],
        ["seconds to make the fleet", *(f"{one.build_seconds:.2f}" for one in found)],
    ]
    return Table(["", *(f"{one.nodes:,} nodes" for one in found)], rows)
