"""`make bench`: run the parts one after another, and write what they find to results.md."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import cost, drain_sizes, fleet, large, latency, scaling, selection
from bench.context import Context
from bench.machine import measured
from bench.owned import find_program
from bench.report import Section, read_sections, render_page

RESULTS = Path(__file__).with_name("results.md")

PARTS: dict[str, Callable[[Context], Section]] = {
    "cost": cost.run,
    "fleet": fleet.run,
    "latency": latency.run,
    "drain": drain_sizes.run,
    "zones": large.run,
    "workers": scaling.run,
    "router": selection.run,
}


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    names = ",".join(PARTS)
    parser.add_argument("--only", default=names, help=f"the parts to run; default and all there are: {names}")
    parser.add_argument("--rounds", type=int, default=3, help="how often each measurement is taken (default: 3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each load lasts (default: 5)")
    parser.add_argument("--quick", action="store_true", help="small sizes and short loads, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where results go (default: bench/results.md)")
    found = parser.parse_args(words)
    found.parts = found.only.split(",")
    unknown = sorted(set(found.parts) - set(PARTS))
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {names}")
    return found


def main(words: Sequence[str]) -> None:
    """Run the parts that are asked for; other parts' results stay."""
    chosen = arguments(words)
    if find_program("dnsperf") is None:
        raise SystemExit("dnsperf is missing: `make bench-peers` installs it.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    context = Context(rounds=chosen.rounds, seconds=chosen.seconds, quick=chosen.quick)
    if chosen.quick:
        context.rounds, context.seconds = 1, min(1.0, chosen.seconds)
    output: Path = chosen.output
    for name, part in PARTS.items():
        if name in chosen.parts:
            context.say(f"{name} begins")
            section = part(context).render(measured())
            print(section, flush=True)
            sections = read_sections(output.read_text()) if output.exists() else {}
            output.write_text(render_page(list(PARTS), {**sections, name: section}))


if __name__ == "__main__":
    main(sys.argv[1:])
