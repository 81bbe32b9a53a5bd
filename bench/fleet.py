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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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

# Targets: the part of the queries per second that being busy may take, and how many times as long p99 may be.
MOST_FEWER, MOST_SLOWER = 0.15, 2.0

# How much less the load is to be preferred, so that it does not hold up dnsperf where they share a CPU. Unit: nice.
LOAD_NICE = 5


@dataclass(frozen=True, slots=True)
class Most:
    """What was measured as fast as it goes.

    Args:
        per_second: queries.
        cost: CPU microseconds per query of the worker.
        lost: queries without an answer.
    """

    per_second: float
    cost: float
    lost: int


@dataclass(frozen=True, slots=True)
class Steady:
    """What was measured at half load.

    Args:
        cost: CPU microseconds per query of the worker.
        p50, p99, worst: seconds that a query took.
        lost: queries without an answer.
    """

    cost: float
    p50: float
    p99: float
    worst: float
    lost: int


@dataclass(slots=True)
class Rounds:
    """What the rounds of one state have measured."""

    most: list[Most] = field(default_factory=list)
    steady: list[Steady] = field(default_factory=list)


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


def measure_most(context: Context, server: Dnsd, questions: Path) -> Most:
    """Load as fast as it goes."""
    before = server.worker_seconds()
    counted = dnsperf.ask(server.port, questions, cores=frozenset({context.cores.client}), seconds=context.seconds)
    cost = (server.worker_seconds() - before) / counted.completed * 1e6
    return Most(counted.per_second, cost, counted.lost)


def measure_steady(context: Context, server: Dnsd, questions: Path, *, rate: int) -> Steady:
    """Load with so many queries per second."""
    before = server.worker_seconds()
    counted, latencies = dnsperf.ask_steadily(
        server.port,
        questions,
        cores=frozenset({context.cores.client}),
        seconds=context.seconds,
        rate=rate,
        output=questions.with_name("verbose"),
    )
    return Steady(
        cost=(server.worker_seconds() - before) / counted.completed * 1e6,
        p50=dnsperf.percentile(latencies, 0.5),
        p99=dnsperf.percentile(latencies, 0.99),
        worst=latencies[-1],
        lost=counted.lost,
    )


def run(context: Context) -> Section:
    """Measure rounds of quiet and busy."""
    fleet = choose_fleet(context)
    taken = {QUIET: Rounds(), BUSY: Rounds()}
    said: list[dict[str, Any]] = []
    with context.folder() as folder, serving(context, fleet, store="memory://") as server:
        server.pin(context.cores)
        questions = folder / "questions"
        write_lines(questions, fleet.repeating())
        warm = dnsperf.ask(server.port, questions, cores=frozenset({context.cores.client}), seconds=2 * WARM_UP_SECONDS)
        half = round(warm.per_second / 2)
        for number in range(context.rounds):
            taken[QUIET].most.append(measure_most(context, server, questions))
            taken[QUIET].steady.append(measure_steady(context, server, questions, rate=half))
            seconds, first = 20 * context.seconds + 60, number * fleet.pools // 3
            # What the load was answered is of the first part alone: in the other dnsperf goes before all others.
            with loading(context, fleet, server, seconds=seconds, first=first) as answered:
                taken[BUSY].most.append(measure_most(context, server, questions))
            with loading(context, fleet, server, seconds=seconds, first=first + fleet.pools // 6):
                taken[BUSY].steady.append(measure_steady(context, server, questions, rate=half))
            context.say(f"round {number + 1}: {[(state, rounds.most[-1]) for state, rounds in taken.items()]}")
            said.append(answered)
    return Section(TITLE, [intro(context, fleet, half), tabulate(taken), verdict(taken), describe(said)])


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
        f"as it goes is less when busy because dnsperf has less of its CPU; at half load dnsperf {before}. A query "
        "costs less the more of them come at once, so that costs are to be compared at the same rate: at half load."
    )


def tabulate(taken: Mapping[str, Rounds]) -> Table:
    """Make the table of both states."""

    def row(what: str, form: str, values: Callable[[Rounds], Iterable[float]]) -> list[str]:
        return [what, *(format(statistics.median(values(rounds)), form) for rounds in taken.values())]

    rows = [
        row("queries/s, as fast as it goes", ",.0f", lambda rounds: [one.per_second for one in rounds.most]),
        row("CPU µs/query of the worker at that", ".2f", lambda rounds: [one.cost for one in rounds.most]),
        row("CPU µs/query of the worker, at half load", ".2f", lambda rounds: [one.cost for one in rounds.steady]),
        row("latency at half load, median, ms", ".3f", lambda rounds: [one.p50 * 1000 for one in rounds.steady]),
        row("latency at half load, p99, ms", ".3f", lambda rounds: [one.p99 * 1000 for one in rounds.steady]),
        row("latency at half load, most, ms", ".1f", lambda rounds: [one.worst * 1000 for one in rounds.steady]),
        row(
            "queries lost",
            ".0f",
            lambda rounds: [*(one.lost for one in rounds.most), *(one.lost for one in rounds.steady)],
        ),
    ]
    return Table(["", *taken], rows)


def verdict(taken: Mapping[str, Rounds]) -> str:
    """Say how far busy is from quiet, and how far it may be."""
    most = {state: statistics.median(one.per_second for one in rounds.most) for state, rounds in taken.items()}
    cost = {state: statistics.median(one.cost for one in rounds.steady) for state, rounds in taken.items()}
    p99 = {state: statistics.median(one.p99 for one in rounds.steady) for state, rounds in taken.items()}
    return (
        f"Busy, dnsd answers {1 - most[BUSY] / most[QUIET]:.0%} fewer queries as fast as it goes; the target is at "
        f"most {MOST_FEWER:.0%}. At half load a query costs {cost[BUSY] / cost[QUIET] - 1:+.0%}, and p99 is "
        f"{p99[BUSY] / p99[QUIET]:.1f} times that of quiet; the target is at most {MOST_SLOWER:g} times."
    )


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
        "While dnsperf asked as fast as it goes, the admin interface answered "
        f"{sum(answers.values()) / seconds:,.0f} requests a second ({counted}); an order to drain took "
        f"{dnsperf.percentile(drains, 0.5) * 1000:.0f} ms at the median and "
        f"{dnsperf.percentile(drains, 0.99) * 1000:.0f} ms at p99."
    )
