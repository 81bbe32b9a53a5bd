"""CPU per query, beside other servers and a program that only echoes.

Each server has one CPU and dnsperf another. What is counted is the CPU time of all of a server's processes, system time
included, over what dnsperf got answers for. Servers take turns, and the middle of several rounds counts.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from bench import dnsperf
from bench.context import WARM_UP_SECONDS, Context
from bench.fleets import BenchFleet
from bench.owned import EndedError
from bench.report import Section, Table
from bench.servers import PEERS, Dnsd, Server, dnsd

TITLE = "What a query costs"

# Eight nodes in each pool: as many addresses in an answer as dnsd gives by default.
FLEET = BenchFleet(nodes=32, pools=4)

REPEATING, NEVER_TWICE = "repeating", "nothing repeats"

# More than any server here answers. Unit: queries per second.
MOST_PER_SECOND = 500_000

# What the ratio to gdnsd is to be at most.
TARGETS = {REPEATING: 1.25, NEVER_TWICE: 1.9}

Costs = dict[tuple[str, str], list[float]]


def start(context: Context, root: Path, stack: contextlib.ExitStack) -> list[Server]:
    """Start every server that is installed, on the server's CPU; a peer that does not start is left out."""
    servers = []
    for name, make in [*((peer.name, peer.make) for peer in PEERS if peer.installed()), *OURS.items()]:
        folder = root / name
        folder.mkdir()
        server = make(folder, FLEET)
        server.name = name
        stack.callback(server.stop)
        try:
            server.start(cores=frozenset({context.cores.server}))
        except (EndedError, AssertionError) as failure:
            if name in OURS:
                raise
            context.say(f"{name} does not start: {failure}")
        else:
            servers.append(server)
    return servers


def _dnsd(folder: Path, fleet: BenchFleet) -> Dnsd:
    return dnsd(folder, fleet.dnsd_tables())


def _limiting(folder: Path, fleet: BenchFleet) -> Dnsd:
    return dnsd(folder, fleet.dnsd_tables(), limiting=True)


OURS: dict[str, Callable[[Path, BenchFleet], Server]] = {"dnsd": _dnsd, "dnsd, limits in force": _limiting}


def write_questions(context: Context, root: Path, number: int) -> dict[str, tuple[Path, Path]]:
    """Write a round's questions, for the warm-up and for what is measured, by workload."""
    repeating, warm_up, once = root / "repeating", root / "warm-up", root / "once"
    count = round(MOST_PER_SECOND * context.seconds)
    write_lines(repeating, FLEET.repeating())
    write_lines(warm_up, FLEET.never_twice(count, run=context.rounds + number))
    write_lines(once, FLEET.never_twice(count, run=number))
    return {REPEATING: (repeating, repeating), NEVER_TWICE: (warm_up, once)}


def write_lines(file: Path, lines: Iterable[str]) -> None:
    """Write lines to a file."""
    with file.open("w") as writer:
        writer.writelines(f"{line}\n" for line in lines)


def measure(context: Context, server: Server, questions: Path, seconds: float) -> tuple[dnsperf.Counted, float]:
    """Load a server; return what dnsperf counted, and microseconds of CPU per query of all its processes."""
    before = server.process.cpu_seconds()
    counted = dnsperf.ask(server.port, questions, cores=frozenset({context.cores.client}), seconds=seconds)
    return counted, (server.process.cpu_seconds() - before) / counted.completed * 1e6


def run(context: Context) -> Section:
    """Measure both workloads."""
    costs: Costs = {}
    notes: dict[tuple[str, str], dnsperf.Counted] = {}
    with context.folder() as root, contextlib.ExitStack() as stack:
        servers = start(context, root, stack)
        for number in range(context.rounds):
            for workload, (warm_up, questions) in write_questions(context, root, number).items():
                for server in servers:
                    measure(context, server, warm_up, WARM_UP_SECONDS)
                    counted, cost = measure(context, server, questions, context.seconds)
                    context.say(f"round {number + 1}, {workload}, {server.name}: {cost:.2f} µs/query")
                    costs.setdefault((workload, server.name), []).append(cost)
                    notes[workload, server.name] = counted
    return Section(TITLE, [intro(context), *(part for name in TARGETS for part in tabulate(name, costs, notes))])


def intro(context: Context) -> str:
    """Say how it was measured."""
    return (
        f"CPU time of all processes of a server per query, over UDP with EDNS: medians of {context.rounds} rounds of "
        f"{context.seconds:g} s. {FLEET.pools} pools of {FLEET.nodes // FLEET.pools} nodes each; every server gives "
        "all addresses of a pool. The server has one CPU, and dnsperf another, which asks as fast as it goes."
    )


def tabulate(workload: str, costs: Costs, notes: Mapping[tuple[str, str], dnsperf.Counted]) -> list[Table | str]:
    """Make a workload's heading, table and verdict."""
    names = [*(peer.name for peer in PEERS), *OURS]
    beside = statistics.median(costs[workload, "gdnsd"]) if (workload, "gdnsd") in costs else None
    rows = []
    for name in names:
        if (workload, name) not in costs:
            missing = any(peer.name == name and not peer.installed() for peer in PEERS)
            rows.append([name, "not installed" if missing else "did not start", "", "", ""])
            continue
        cost, counted = statistics.median(costs[workload, name]), notes[workload, name]
        ratio = "" if beside is None else f"{cost / beside:.2f}"
        rows.append([name, f"{cost:.2f}", ratio, f"{counted.per_second:,.0f}", str(counted.response_bytes)])
    table = Table(["server", "CPU µs/query", "of gdnsd's", "queries/s", "bytes of a response"], rows)
    return [f"### {workload.capitalize()}", table, verdict(workload, costs, beside)]


def verdict(workload: str, costs: Costs, beside: float | None) -> str:
    """Say whether dnsd keeps to its target."""
    target = TARGETS[workload]
    if beside is None:
        return f"The target is {target} times gdnsd's, which was not measured."
    ratio = statistics.median(costs[workload, "dnsd"]) / beside
    return f"dnsd takes {ratio:.2f} times what gdnsd does; the target is at most {target}."
