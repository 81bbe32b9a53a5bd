"""A large fleet: queries per second and latency, quiet and while its nodes report and are drained.

One worker has the server's CPU; the control process, what sends reports and drains, and dnsperf have the others. On a
machine with two CPUs these three share one, so that the load is also on whoever measures latency.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import dnsperf
from bench.context import WARM_UP_SECONDS, Context
from bench.cost import write_lines
from bench.fleets import BenchFleet
from bench.owned import on_cores
from bench.report import Section, Table
from bench.servers import Dnsd, dnsd

TITLE = "A large fleet, quiet and busy"

FLEET = BenchFleet(nodes=10_000, pools=1_000)
QUICK_FLEET = BenchFleet(nodes=500, pools=50)

REPORTS_PER_SECOND, DRAINS_PER_SECOND = 1_000, 10

# How long the last answers and releases of the load may take. Unit: seconds.
LOAD_END_SECONDS = 60.0

QUIET, BUSY = "quiet", "busy"

# How much less the load is to be preferred, so that it does not hold up dnsperf where they share a CPU. Unit: nice.
LOAD_NICE = 5


@dataclass(frozen=True, slots=True)
class Taken:
    """What one round has measured.

    Args:
        per_second: queries, as fast as it goes.
        cost: CPU microseconds per query of the worker, as fast as it goes.
        steady_cost: the same at half load.
        p50, p99, worst: seconds that a query took at half load.
        lost: queries without an answer, in both loads.
    """

    per_second: float
    cost: float
    steady_cost: float
    p50: float
    p99: float
    worst: float
    lost: int

    @property
    def capacity(self) -> float:
        """Queries per second that the worker would answer with all of a CPU."""
        return 1e6 / self.cost


def choose_fleet(context: Context) -> BenchFleet:
    """Return the fleet to measure with."""
    return QUICK_FLEET if context.quick else FLEET


@contextlib.contextmanager
def serving(context: Context, fleet: BenchFleet, *, store: str, workers: int = 1) -> Iterator[Dnsd]:
    """Run dnsd with a fleet whose nodes have all reported that they are up."""
    with context.folder() as folder:
        server = dnsd(folder, fleet.dnsd_tables(monitor="agent"), store=store, workers=workers)
        try:
            seconds = server.start(cores=context.cores.all)
            context.say(f"{fleet.nodes:,} nodes in {fleet.pools:,} pools are ready after {seconds:.1f} s")
            with loading(context, fleet, server, all_report=True) as said:
                pass
            context.say(f"every node has reported: {said['statuses'] or said}")
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def loading(
    context: Context,
    fleet: BenchFleet,
    server: Dnsd,
    *,
    seconds: float = 0,
    first: int = 0,
    all_report: bool = False,
) -> Iterator[dict[str, Any]]:
    """Have the fleet report and be drained during a block; what it was answered is in what is given, afterwards."""
    words = [sys.executable, "-m", "bench.fleet_load", "--port", str(server.admin_port), "--nodes", str(fleet.nodes)]
    words += ["--pools", str(fleet.pools), "--seconds", str(seconds), "--first", str(first)]
    words += ["--reports", str(REPORTS_PER_SECOND), "--drains", str(DRAINS_PER_SECOND)]
    words = ["nice", "-n", str(LOAD_NICE), *words, *(["--all"] if all_report else [])]
    with on_cores(context.cores.others):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    said: dict[str, Any] = {}
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "begun\n":
            raise SystemExit("the load on the admin interface did not begin")
        yield said
        process.terminate()
        process.wait(LOAD_END_SECONDS)
        said.update(json.loads(process.stdout.read()))
    finally:
        process.kill()
        process.wait()


def measure(context: Context, server: Dnsd, questions: Path, *, half: int | None) -> Taken:
    """Load as fast as it goes, and then with half of that.

    Args:
        half: queries per second of the steady load; None: half of what was reached.
    """
    client = frozenset({context.cores.client})
    before = server.worker_seconds()
    most = dnsperf.ask(server.port, questions, cores=client, seconds=context.seconds)
    cost = (server.worker_seconds() - before) / most.completed * 1e6
    before = server.worker_seconds()
    steady, latencies = dnsperf.ask_steadily(
        server.port,
        questions,
        cores=client,
        seconds=context.seconds,
        rate=half or round(most.per_second / 2),
        output=questions.with_name("verbose"),
    )
    return Taken(
        per_second=most.per_second,
        cost=cost,
        steady_cost=(server.worker_seconds() - before) / steady.completed * 1e6,
        p50=dnsperf.percentile(latencies, 0.5),
        p99=dnsperf.percentile(latencies, 0.99),
        worst=latencies[-1],
        lost=most.lost + steady.lost,
    )


def run(context: Context) -> Section:
    """Measure rounds of quiet and busy."""
    fleet = choose_fleet(context)
    taken: dict[str, list[Taken]] = {QUIET: [], BUSY: []}
    said: list[dict[str, Any]] = []
    with context.folder() as folder, serving(context, fleet, store="memory://") as server:
        server.pin(context.cores)
        questions = folder / "questions"
        write_lines(questions, fleet.repeating())
        warm = dnsperf.ask(server.port, questions, cores=frozenset({context.cores.client}), seconds=2 * WARM_UP_SECONDS)
        half = round(warm.per_second / 2)
        for number in range(context.rounds):
            taken[QUIET].append(measure(context, server, questions, half=half))
            context.say(f"round {number + 1}, quiet: {taken[QUIET][-1]}")
            first = number * fleet.pools // 3
            with loading(context, fleet, server, seconds=20 * context.seconds + 60, first=first) as answered:
                taken[BUSY].append(measure(context, server, questions, half=half))
            context.say(f"round {number + 1}, busy: {taken[BUSY][-1]}")
            said.append(answered)
    return Section(TITLE, [intro(context, fleet, half), tabulate(taken), describe(said)])


def intro(context: Context, fleet: BenchFleet, half: int) -> str:
    """Say how it was measured."""
    return (
        f"{fleet.nodes:,} nodes in {fleet.pools:,} pools, one worker, all names asked in random order; medians of "
        f"{context.rounds} rounds of {context.seconds:g} s. Busy: {REPORTS_PER_SECOND:,} reports and "
        f"{DRAINS_PER_SECOND} drains a second come in over HTTP. Latency is what dnsperf saw at {half:,} queries/s. "
        + shared(context)
    )


def shared(context: Context) -> str:
    """Say who shares a CPU with whom."""
    if context.cores.client not in context.cores.others:
        return "The worker and dnsperf have a CPU each, the control process and the load on it the others."
    before = "goes before them" if dnsperf.may_hurry() else "has to wait for them, which shows in the latency"
    return (
        "The worker has one CPU; the control process, the load on it and dnsperf share the other. So queries/s as fast "
        f"as it goes is less when busy because dnsperf has less of its CPU; at half load dnsperf {before}."
    )


def tabulate(taken: dict[str, list[Taken]]) -> Table:
    """Make the table of both states."""

    def figure(state: str, name: str, scale: float, form: str) -> str:
        return format(statistics.median(getattr(one, name) for one in taken[state]) * scale, form)

    lines = (
        ("queries/s, as fast as it goes", "per_second", 1, ",.0f"),
        ("CPU µs/query of the worker, as fast as it goes", "cost", 1, ".2f"),
        ("queries/s that this makes of a whole CPU", "capacity", 1, ",.0f"),
        ("CPU µs/query of the worker, at half load", "steady_cost", 1, ".2f"),
        ("latency at half load, median, ms", "p50", 1000, ".3f"),
        ("latency at half load, p99, ms", "p99", 1000, ".3f"),
        ("latency at half load, most, ms", "worst", 1000, ".1f"),
        ("queries lost", "lost", 1, ".0f"),
    )
    rows = [[what, *(figure(state, name, scale, form) for state in taken)] for what, name, scale, form in lines]
    return Table(["", *taken], rows)


def describe(said: list[dict[str, Any]]) -> str:
    """Say what the load on the admin interface was answered."""
    seconds = sum(one["seconds"] for one in said)
    answers: dict[str, int] = {}
    for one in said:
        for status, count in one["statuses"].items():
            answers[status] = answers.get(status, 0) + count
    drains = sorted(took for one in said for took in one["drain_seconds"])
    counted = ", ".join(f"{count:,} with {status}" for status, count in sorted(answers.items()))
    return (
        f"The admin interface answered {sum(answers.values()) / seconds:,.0f} requests a second ({counted}); an order "
        f"to drain took {dnsperf.percentile(drains, 0.5) * 1000:.0f} ms at the median and "
        f"{dnsperf.percentile(drains, 0.99) * 1000:.0f} ms at p99."
    )
