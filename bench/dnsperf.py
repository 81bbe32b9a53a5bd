"""dnsperf as a load: started on its core, and what it counted, read from what it prints."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.owned import on_cores

# Ports that it asks from. Unit: sockets.
CLIENTS = 4

# The lowest real-time priority.
HURRY = ("chrt", "--rr", "1")


class UnreadableError(ValueError):
    """dnsperf printed something else than what is read here."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a run counted.

    Args:
        completed, lost: queries.
        per_second: queries.
        response_bytes: the average, of DNS.
        codes: RCODE → responses.
    """

    completed: int
    lost: int
    per_second: float
    response_bytes: int
    codes: dict[str, int]


def read_counts(text: str) -> Counted:
    """Read what dnsperf prints at its end.

    Raises:
        UnreadableError: it is not what dnsperf 2.x prints.
    """
    codes = re.search(r"Response codes:\s+(.*)", text)
    return Counted(
        completed=int(_figure(r"Queries completed:\s+(\d+)", text)),
        lost=int(_figure(r"Queries lost:\s+(\d+)", text)),
        per_second=float(_figure(r"Queries per second:\s+([\d.]+)", text)),
        response_bytes=int(_figure(r"Average packet size:.*response (\d+)", text)),
        codes={name: int(count) for name, count in re.findall(r"(\w+) (\d+)", codes[1] if codes else "")},
    )


def _figure(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise UnreadableError(f"dnsperf said something else:\n{text[-2000:]}")
    return match[1]


def read_latencies(lines: Iterable[str]) -> list[float]:
    """Return the seconds that each answered query of a verbose run took, in order of size."""
    answered = (line for line in lines if line.startswith("> ") and not line.startswith(("> T ", "> I ")))
    return sorted(float(line.rsplit(" ", 1)[1]) for line in answered)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that a share of the values, from 0 to 1, do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def command(
    port: int,
    questions: Path,
    *,
    seconds: float,
    rate: int | None = None,
    verbose: bool = False,
    patience_seconds: int = 5,
) -> list[str]:
    """Return the command of a load over IPv4 with EDNS.

    Args:
        rate: queries per second; None: as fast as it goes.
        verbose: whether each query is printed with its latency.
        patience_seconds: after this long a query is lost.
    """
    words = ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(questions), "-e", "-c", str(CLIENTS)]
    words += ["-l", str(max(1, round(seconds))), "-t", str(patience_seconds)]
    words += ["-Q", str(rate)] if rate is not None else []
    return [*words, "-v"] if verbose else words


def ask(port: int, questions: Path, *, cores: Sequence[int] | frozenset[int], seconds: float) -> Counted:
    """Ask as fast as it goes, and return what was counted."""
    with on_cores(cores):
        done = subprocess.run(command(port, questions, seconds=seconds), capture_output=True, text=True, check=True)
    return read_counts(done.stdout)


def may_hurry() -> bool:
    """Say whether this user may have a program go before all others on its CPU."""
    try:
        return subprocess.run([*HURRY, "true"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def ask_steadily(
    port: int, questions: Path, *, cores: Sequence[int] | frozenset[int], seconds: float, rate: int, output: Path
) -> tuple[Counted, list[float]]:
    """Ask at a rate; return what was counted, and the seconds that each query took, in order of size.

    dnsperf goes before what shares its CPU, where that is allowed: else it would measure how long it waits itself.

    Args:
        output: a file for what dnsperf prints, a line for each query.
    """
    words = command(port, questions, seconds=seconds, rate=rate, verbose=True)
    words = [*HURRY, *words] if may_hurry() else words
    with output.open("w") as file, on_cores(cores):
        subprocess.run(words, stdout=file, check=True)
    with output.open() as lines:
        latencies = read_latencies(lines)
    with output.open("rb") as tail:
        tail.seek(max(0, output.stat().st_size - 4000))
        counted = read_counts(tail.read().decode())
    return counted, latencies
