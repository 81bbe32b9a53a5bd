"""Two workers against one, with the same load."""

from __future__ import annotations

import statistics
from pathlib import Path

from bench import cost, dnsperf
from bench.context import Context
from bench.report import Section, Table
from bench.servers import Dnsd, dnsd

TITLE = "Two workers"


def run(context: Context) -> Section:
    """Load one worker and two in turn."""
    rates: dict[tuple[str, int], list[float]] = {}
    costs: dict[tuple[str, int], list[float]] = {}
    with context.folder() as root:
        servers = {count: _make(root / str(count), count) for count in (1, 2)}
        try:
            for server in servers.values():
                server.start(cores=context.cores.all)
            for number in range(context.rounds):
                for workload, (_, questions) in cost.write_questions(context, root, number).items():
                    for count, server in servers.items():
                        counted, spent = load(context, server, questions)
                        rates.setdefault((workload, count), []).append(counted.per_second)
                        costs.setdefault((workload, count), []).append(spent)
                        context.say(f"round {number + 1}, {workload}, {count}: {counted.per_second:,.0f} queries/s")
        finally:
            for server in servers.values():
                server.stop()
    return Section(TITLE, [intro(context), tabulate(rates, costs)])


def _make(folder: Path, workers: int) -> Dnsd:
    folder.mkdir()
    return dnsd(folder, cost.FLEET.dnsd_tables(), workers=workers)


def load(context: Context, server: Dnsd, questions: Path) -> tuple[dnsperf.Counted, float]:
    """Ask as fast as it goes, on any CPU; return what was counted, and CPU microseconds per query of all workers."""
    before = server.worker_seconds()
    counted = dnsperf.ask(server.port, questions, cores=context.cores.all, seconds=context.seconds)
    return counted, (server.worker_seconds() - before) / counted.completed * 1e6


def intro(context: Context) -> str:
    """Say how it was measured, and who shares what."""
    words = (
        f"dnsperf asks as fast as it goes; medians of {context.rounds} rounds of {context.seconds:g} s. CPU is that of "
        "the workers alone, for one query."
    )
    if len(context.cores.all) > 2:
        return words
    return (
        f"{words} This machine has {len(context.cores.all)} CPUs, which dnsperf and the workers share: with one worker "
        "dnsperf has a CPU for itself, with two it takes its share from theirs. So the ratio is what is left, not what "
        "two workers can do where the load comes from elsewhere; for that, compare the CPU per query."
    )


def tabulate(rates: dict[tuple[str, int], list[float]], costs: dict[tuple[str, int], list[float]]) -> Table:
    """Make the table: a line for each workload."""
    rows = []
    for workload in (cost.REPEATING, cost.NEVER_TWICE):
        one, two = (statistics.median(rates[workload, count]) for count in (1, 2))
        spent = [f"{statistics.median(costs[workload, count]):.2f}" for count in (1, 2)]
        rows.append([workload, f"{one:,.0f}", f"{two:,.0f}", f"{two / one:.2f}", *spent])
    return Table(["", "one worker, queries/s", "two", "ratio", "one worker, CPU µs/query", "two"], rows)
