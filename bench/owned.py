"""Programs that a measurement starts: on which cores they run, what CPU and memory they use, and that they end.

It knows nothing of DNS. Whatever is started here is ended by its process id, its children included.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.servers import alive, wait_until

# How long a program may take to end by itself before it is killed. Unit: seconds.
STOP_SECONDS = 20.0

# Debian has servers where not every user's PATH leads.
PROGRAM_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

# What a file's blocks are counted in, whatever its file system. Unit: bytes.
BLOCK_BYTES = 512

_MAPPED = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ (\d+)\s+/memfd:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cores:
    """Which CPUs do what, so that what is measured has one for itself.

    Args:
        server: what answers.
        client: what asks.
        others: the rest; on a machine of two, the client's.
    """

    server: int
    client: int
    others: frozenset[int]

    @property
    def all(self) -> frozenset[int]:
        """Every CPU."""
        return self.others | {self.server, self.client}


def share_cores(available: Sequence[int]) -> Cores:
    """Give each part its CPU; with one CPU all share it."""
    server, client = available[0], available[min(1, len(available) - 1)]
    return Cores(server, client, frozenset(available[2:]) or frozenset({client}))


@contextlib.contextmanager
def on_cores(cores: Iterable[int]) -> Iterator[None]:
    """Have what is started in the block run on these CPUs alone, with every thread that it makes."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def find_program(name: str) -> str | None:
    """Return the path of a program, or None where it is not installed."""
    return shutil.which(name, path=PROGRAM_PATH)


class EndedError(RuntimeError):
    """A program ended by itself."""


class Owned:
    """A program that runs, and its children.

    Args:
        words: the command.
        folder: where it runs; what it prints goes to `log` in it.
        cores: where it runs.
        env: more variables.
    """

    def __init__(
        self,
        words: Sequence[str | Path],
        folder: Path,
        *,
        cores: Sequence[int] | frozenset[int],
        env: dict[str, str] | None = None,
    ) -> None:
        self.log = folder / "log"
        with self.log.open("ab") as log, on_cores(cores):
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, **(env or {})},
            )
        self._known: set[psutil.Process] = set()

    def said(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(errors="replace")

    def check(self) -> None:
        """Raise `EndedError` where it has ended by itself."""
        if self.process.poll() is not None:
            raise EndedError(f"{self.process.args!r} ended with {self.process.returncode}:\n{self.said()[-2000:]}")

    def family(self) -> list[psutil.Process]:
        """Return its processes, the first one first."""
        first = psutil.Process(self.process.pid)
        family = [first, *sorted(first.children(recursive=True), key=lambda one: (one.create_time(), one.pid))]
        self._known.update(family)
        return family

    def cpu_seconds(self) -> float:
        """Return what all its processes have used, system time included."""
        return sum(map(cpu_seconds, self.family()))

    def stop(self) -> None:
        """End it and its children."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.family()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
            wait_until(lambda: not any(map(alive, self._known)), "children have ended", seconds=STOP_SECONDS)
        except (subprocess.TimeoutExpired, AssertionError):
            for process in self._known:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait(STOP_SECONDS)


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process with its threads, system time included."""
    times = process.cpu_times()
    return float(times.user + times.system)


def own_bytes(process: psutil.Process) -> int:
    """Return the memory of a process without the anonymous files that it shares; the rest that it shares, in parts."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    parts = re.findall(r"^Pss_(?:Anon|File):\s+(\d+) kB$", rollup, re.MULTILINE)
    return 1024 * sum(map(int, parts))


def shared_bytes(processes: Iterable[psutil.Process]) -> int:
    """Return the size of all anonymous files (memfd) that processes have open or mapped, each counted once."""
    found: dict[int, int] = {}
    for process in processes:
        for fd in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if str(fd.readlink()).startswith("/memfd:"):
                    status = fd.stat()
                    found[status.st_ino] = status.st_blocks * BLOCK_BYTES
        for first, last, inode in _MAPPED.findall(Path(f"/proc/{process.pid}/maps").read_text()):
            found.setdefault(int(inode), int(last, 16) - int(first, 16))
    return sum(found.values())
