"""Large zones: the time to the first answer, a reload under load, and memory."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from bench import dnsperf, zones
from bench.context import Context
from bench.fleets import APEX
from bench.owned import find_program, on_cores, own_bytes, shared_bytes
from bench.report import Section, Table
from bench.servers import ASK_SECONDS, Dnsd, Server, dnsd, from_zones
from tests.support.servers import wait_until

TITLE = "Large zones"

SIZES, QUICK_SIZES = (100_000, 1_000_000), (1_000, 10_000)

# A zone with next to nothing in it, to take what programs need for themselves off what records need. Unit: records.
EMPTY = 10

# Names that are asked for during a reload.
QUESTIONS = 20_000

# How long a start or a reload may take. Unit: seconds.
PATIENCE_SECONDS = 600.0

# While a zone is reloaded. Unit: queries per second.
RELOAD_RATE = 2_000

# What is asked before and after a reload. Unit: seconds.
AROUND_SECONDS = 1.0

# After this long a query is lost. Unit: seconds.
LOST_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A reload under load: seconds until the new zone was served, queries asked and lost, the worst latency."""

    seconds: float
    asked: int
    lost: int
    worst: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What a size of zone costs a server.

    Args:
        ready: seconds from the start to the first answer.
        control, workers: bytes of memory of their own. A peer has no control process.
        shared: bytes of zones that control process and workers have in common.
    """

    ready: float
    control: int
    workers: int
    shared: int
    reloaded: Reloaded | None = None

    @property
    def all(self) -> int:
        """All of its memory. Unit: bytes."""
        return self.control + self.workers + self.shared


def renew(zone: Path) -> None:
    """Raise the serial of a zone's file from 1 to 2."""
    with zone.open("r+b") as file:
        head = file.read(200)
        file.seek(head.index(b" 1 7200"))
        file.write(b" 2")


def write_questions(file: Path, records: int) -> None:
    """Write questions for hosts all over a zone, of which a zone has more than two for each five records."""
    hosts = max(1, (records - EMPTY) * 2 // 5)
    names = (zones.host(number) for number in range(0, hosts, max(1, hosts // QUESTIONS)))
    file.write_text("".join(f"{name}.{APEX} A\n" for name in names))


def serial_of(port: int) -> int | None:
    """Return the serial that is served now, or None without an answer."""
    try:
        response = dns.query.udp(dns.message.make_query(APEX, "SOA"), "127.0.0.1", port=port, timeout=ASK_SECONDS)
    except (dns.exception.Timeout, OSError):
        return None
    found = [rdata.serial for rrset in response.answer if rrset.rdtype == dns.rdatatype.SOA for rdata in rrset]
    return found[0] if found else None


@contextlib.contextmanager
def asking(context: Context, server: Server, questions: Path, output: Path) -> Iterator[None]:
    """Ask at a rate during a block; what dnsperf printed is in a file afterwards."""
    words = dnsperf.command(
        server.port,
        questions,
        seconds=2 * PATIENCE_SECONDS,
        rate=RELOAD_RATE,
        verbose=True,
        patience_seconds=LOST_SECONDS,
    )
    with output.open("w") as file, on_cores(context.cores.all):
        process = subprocess.Popen(words, stdout=file)
    try:
        time.sleep(AROUND_SECONDS)
        yield
        time.sleep(AROUND_SECONDS + LOST_SECONDS)
        process.send_signal(signal.SIGINT)
        process.wait(20)
    finally:
        process.kill()
        process.wait()


def reload(context: Context, server: Dnsd, zone: Path, records: int) -> Reloaded:
    """Change a zone, have it reloaded under load, and wait until it is served."""
    folder = zone.parent
    write_questions(folder / "questions", records)
    renew(zone)
    with asking(context, server, folder / "questions", folder / "asked"):
        server.process.process.send_signal(signal.SIGHUP)
        seconds = wait_until(lambda: serial_of(server.port) == 2, "the new zone is served", seconds=PATIENCE_SECONDS)
    text = (folder / "asked").read_text()
    counted, latencies = dnsperf.read_counts(text), dnsperf.read_latencies(text.splitlines())
    return Reloaded(seconds, counted.completed + counted.lost, counted.lost, latencies[-1])


def measure_dnsd(context: Context, records: int) -> Measured:
    """Start a server with one worker, look at its memory, and reload it."""
    with context.folder() as folder:
        zone = folder / "zone"
        zones.write_zone(zone, records)
        server = dnsd(folder, "", zones={APEX: zone})
        try:
            ready = server.start(cores=context.cores.all, seconds=PATIENCE_SECONDS)
            family = server.process.family()
            control, *workers = map(own_bytes, family)
            shared = shared_bytes(family)
            return Measured(ready, control, sum(workers), shared, reload(context, server, zone, records))
        finally:
            server.stop()


def measure_peer(context: Context, kind: str, name: str, records: int) -> Measured:
    """Start Knot or NSD and look at its memory."""
    with context.folder() as folder:
        zone = folder / "zone"
        zones.write_zone(zone, records)
        server = from_zones(kind, name, folder, {APEX: zone})
        try:
            ready = server.start(cores=context.cores.all, seconds=PATIENCE_SECONDS)
            family = server.process.family()
            return Measured(ready, 0, sum(map(own_bytes, family)), shared_bytes(family))
        finally:
            server.stop()


def run(context: Context) -> Section:
    """Measure every size."""
    empty = measure_dnsd(context, EMPTY)
    rows = [row("dnsd", EMPTY, empty, None)]
    sizes = QUICK_SIZES if context.quick else SIZES
    for records in sizes:
        rows.append(row("dnsd", records, measure_dnsd(context, records), empty))
        context.say(" | ".join(rows[-1]))
    for kind, name, program in (("knot", "Knot", "knotd"), ("nsd", "NSD", "nsd")):
        if find_program(program) is None:
            rows.append([name, "not installed", *[""] * (len(HEADINGS) - 2)])
            continue
        rows.append(row(name, sizes[-1], measure_peer(context, kind, name, sizes[-1]), None))
        context.say(" | ".join(rows[-1]))
    return Section(TITLE, [INTRO, Table(HEADINGS, rows)])


HEADINGS = (
    "",
    "records",
    "to the first answer, s",
    "reload, s",
    "lost of asked",
    "longest answer, ms",
    "control, MiB",
    "worker, MiB",
    "shared, MiB",
    "bytes per record",
)

INTRO = (
    "One zone of hosts with addresses, and among them aliases, mail, text and delegations; one worker. The reload is "
    f"by SIGHUP, with a new serial, while {RELOAD_RATE:,} queries a second come in; a query without an answer for "
    f"{LOST_SECONDS} s is lost. Memory is after the start: what each process has for itself, and once what all of "
    "them share, however many workers there are. Bytes per record are of all of it, less that of the smallest zone. "
    "Peers have one number, for all their processes. The targets: 100,000 records ready in 3 s, 1,000,000 in 30 s, and "
    "a reload that does not stop the answering."
)


def row(name: str, records: int, found: Measured, empty: Measured | None) -> list[str]:
    """Make a line of the table."""
    reloaded, per_record = ["", "", ""], ""
    if found.reloaded is not None:
        one = found.reloaded
        reloaded = [f"{one.seconds:.1f}", f"{one.lost:,} of {one.asked:,}", f"{one.worst * 1000:,.0f}"]
    if empty is not None:
        per_record = f"{(found.all - empty.all) / records:,.0f}"
    sizes = [f"{size / 2**20:,.0f}" if size else "" for size in (found.control, found.workers, found.shared)]
    return [name, f"{records:,}", f"{found.ready:.1f}", *reloaded, *sizes, per_record]
