"""What an answer costs: CPU per query of one worker under dnsperf, for names that repeat and names that do not.

Run it with `make bench`. It prints a table; nothing asserts on it. Figures mean little across machines: compare runs
on one, and best those of one session.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

SECONDS = 5
ROUNDS = 3
DNS_PORT, ADMIN_PORT = 15353, 18053
NODES = 12

CONFIG = f"""\
version = 1
[server]
listen = ["127.0.0.1:{DNS_PORT}"]
workers = 1
[admin]
listen = "127.0.0.1:{ADMIN_PORT}"
[store]
url = "memory://"
[[zone]]
name = "example.org."
file = "example.org.zone"
[[node_record]]
name = "{{id}}.nodes.example.org."
[[pool]]
name = "edge.example.org."
role = "edge"
"""

ZONE = """\
$ORIGIN example.org.
$TTL 300
@    SOA   ns1 hostmaster 1 7200 900 1209600 60
     NS    ns1
ns1  A     192.0.2.1
www  CNAME edge
"""


def write_server(folder: Path) -> Path:
    """Write a small fleet's files; return the configuration's."""
    nodes = "".join(
        f'[[node]]\nid = "edge-{number}"\naddresses = ["192.0.2.{100 + number}", "2001:db8::{number}"]\n'
        'roles = ["edge"]\n'
        for number in range(1, NODES + 1)
    )
    (folder / "example.org.zone").write_text(ZONE)
    config = folder / "config.toml"
    config.write_text(CONFIG + nodes)
    return config


def write_workloads(folder: Path) -> dict[str, Path]:
    """Write the questions: ones that repeat, and ones of which each is asked once."""
    repeating = [f"edge-{number}.nodes.example.org A" for number in range(1, NODES + 1)]
    repeating += ["edge.example.org A", "edge.example.org AAAA"] * NODES
    mixed = [
        line
        for number in range(200_000)
        for line in (f"{_mixed_case('edge.example.org', number)} A", f"missing-{number}.example.org A")
    ]
    workloads = {}
    for name, lines in (("repeating", repeating), ("nothing repeats", mixed)):
        workloads[name] = folder / name.replace(" ", "-")
        workloads[name].write_text("\n".join(lines) + "\n")
    return workloads


def _mixed_case(name: str, number: int) -> str:
    return "".join(letter.upper() if number >> place & 1 else letter for place, letter in enumerate(name[:16]))


def wait_ready() -> None:
    """Wait until the server answers, for a bounded time."""
    for _ in range(200):
        try:
            with urlopen(f"http://127.0.0.1:{ADMIN_PORT}/readyz", timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise SystemExit("the server did not get ready")


def measure(worker: psutil.Process, workload: Path) -> tuple[float, float]:
    """Ask as fast as it goes; return CPU microseconds per query of the worker, and queries per second."""
    before = worker.cpu_times()
    output = subprocess.run(
        ["dnsperf", "-s", "127.0.0.1", "-p", str(DNS_PORT), "-d", str(workload), "-l", str(SECONDS), "-e", "-c", "4"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    after = worker.cpu_times()
    completed = int(_figure(r"Queries completed:\s+(\d+)", output))
    spent = after.user + after.system - before.user - before.system
    return spent / completed * 1e6, float(_figure(r"Queries per second:\s+([\d.]+)", output))


def _figure(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"dnsperf said something else:\n{text}")
    return match[1]


def rounds(worker: psutil.Process, workloads: dict[str, Path]) -> Iterator[tuple[str, float, float]]:
    """Measure the workloads in turn, several times; yield the median of each."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in workloads}
    for _ in range(ROUNDS):
        for name, path in workloads.items():
            found[name].append(measure(worker, path))
    for name, figures in found.items():
        cost, rate = sorted(figures)[len(figures) // 2]
        yield name, cost, rate


def main() -> None:
    """Start a server with one worker on one core, dnsperf on another, and print the table."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        config = write_server(folder)
        workloads = write_workloads(folder)
        cores = sorted(os.sched_getaffinity(0))
        log = (folder / "log").open("w")
        server = subprocess.Popen([sys.executable, "-m", "dnsd", "serve", "--config", str(config)], stderr=log)
        try:
            wait_ready()
            (worker,) = psutil.Process(server.pid).children()
            worker.cpu_affinity(cores[:1])
            os.sched_setaffinity(0, cores[-1:])
            print(f"{len(cores)} cores; medians of {ROUNDS} rounds of {SECONDS} s")
            print(f"{'workload':<18}{'CPU µs/query':>14}{'queries/s':>12}")
            for name, cost, rate in rounds(worker, workloads):
                print(f"{name:<18}{cost:>14.2f}{rate:>12.0f}")
        finally:
            server.terminate()
            server.wait(20)
            log.close()


if __name__ == "__main__":
    main()
