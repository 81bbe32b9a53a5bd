"""Reads large zones in processes of their own, several at a time.

So a large file holds up neither the reading of small ones nor the control process, and the memory that reading takes
is given back whole. It owns both ends: who starts such a process, and what it does. What a file says is for `zone`.

    this process                                       python -m dnsd.zonefile FD NICENESS
        a memfd, FD ──────────inherited───────────────►  image of the zone
        Request ──stdin, left open until the end──────►  reads, checks; its end means that nobody waits any more
        Reply   ◄─────────────stdout───────────────────  problems and warnings; then it ends
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from dnsd.core.zonebuild import zone_of
from dnsd.core.zoneimage import ZoneImage
from dnsd.errors import Problem
from dnsd.sharedbytes import NothingToShare, SharedBytes, new_memfd, write_all
from dnsd.zonefile.zone import (
    NO_IMAGE,
    Request,
    ZoneFile,
    not_read,
    read_and_check,
    read_requested,
    why_no_image,
)

# From this size on, a file is read in a process of its own. To start one takes 0.2 s, in which about 15,000 records are
# read. Unit: bytes of the zone's own file.
LARGE_FILE_SIZE = 1 << 20

# Answers come before the reading of what is to be answered next. Unit: steps of nice(2).
NICENESS = 10

# What comes of a zone that nobody waits for any more; no log shows it.
ENDING = "this process is about to end"


class _Readers:
    """The processes that read zones, until there are to be none any more."""

    def __init__(self) -> None:
        self.ending = False
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """Take one that was just started; it is ended at once where that is its fate."""
        with self._lock:
            self._running.add(process)
            if self.ending:
                process.kill()

    def discard(self, process: subprocess.Popen[bytes]) -> None:
        """Let go of one that says no more."""
        with self._lock:
            self._running.discard(process)

    def end(self) -> None:
        """End all, and each that is started from now on."""
        with self._lock:
            self.ending = True
            for process in self._running:
                process.kill()


_readers = _Readers()


@dataclass(frozen=True, slots=True)
class Reply:
    """What the process says besides the image.

    Args:
        good: the image is that of a zone which can be served.
        problems, warnings: as of `ZoneFile`.
        no_image: why there is none; empty: there is one.
    """

    good: bool
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    no_image: str = ""


def read_zones(requests: Sequence[Request], *, hurry: bool) -> list[ZoneFile]:
    """Read zones, the large ones side by side and apart.

    Args:
        hurry: nobody is answered before they are read; else whoever answers has precedence.

    Returns:
        What came of each, in the same order.
    """
    threads = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    try:
        large: dict[int, Future[ZoneFile]] = {
            place: threads.submit(read_apart, request, hurry=hurry)
            for place, request in enumerate(requests)
            if _is_large(request)
        }
        small = {place: _read_here(request) for place, request in enumerate(requests) if place not in large}
        return [large[place].result() if place in large else small[place] for place in range(len(requests))]
    finally:
        threads.shutdown(cancel_futures=True)  # where this is broken off, as by Ctrl-C, no other one is begun


def read_apart(
    request: Request, *, hurry: bool = True, on_start: Callable[[int], None] = lambda _pid: None
) -> ZoneFile:
    """Read a zone in a process of its own; where there is no memory to share, in this one.

    Args:
        hurry: see `read_zones`.
        on_start: told the pid of the process.

    Returns:
        The zone, or every reason why there is none: that the process has come to an end without a word is one.
    """
    if _readers.ending:
        return not_read(request, ENDING)
    try:
        fd = new_memfd()
    except NothingToShare:
        return read_requested(request)
    except OSError as error:
        return not_read(request, why_no_image(error))
    with ExitStack() as unless_kept:
        unless_kept.callback(os.close, fd)
        reply = _have_it_read(request, fd, niceness=0 if hurry else NICENESS, on_start=on_start)
        if reply.no_image:
            return not_read(request, reply.no_image, problems=reply.problems)
        try:
            memory = SharedBytes.sealed(fd)
        except OSError as error:
            return not_read(request, why_no_image(error))
        unless_kept.pop_all()
    tree = zone_of(request.apex, ZoneImage(memory, verify=True))
    return ZoneFile(zone=tree if reply.good else None, names=tree, problems=reply.problems, warnings=reply.warnings)


def end_readers() -> None:
    """End the processes that read zones, and begin no other: this one is about to end, and nobody waits for them."""
    _readers.end()


def _read_here(request: Request) -> ZoneFile:
    return not_read(request, ENDING) if _readers.ending else read_requested(request)


def _is_large(request: Request) -> bool:
    try:
        return request.path.stat().st_size >= LARGE_FILE_SIZE
    except (OSError, ValueError):  # whoever reads it says so
        return False


def _have_it_read(request: Request, fd: int, *, niceness: int, on_start: Callable[[int], None]) -> Reply:
    """Return what a process says that reads a zone into a memfd, or is said of its end."""
    try:
        with _start(fd, niceness=niceness) as process:
            _readers.add(process)
            try:
                on_start(process.pid)
                said = _ask(process, request)
            finally:
                _readers.discard(process)
    except OSError as error:
        return _no_image(why_no_image(error, what="a process to read it cannot be run"))
    if process.returncode != 0:
        return _no_image(_how_it_ended(process.returncode))
    reply: Reply = pickle.loads(said)  # noqa: S301 - our own process
    return reply


def _no_image(why: str) -> Reply:
    return Reply(good=False, problems=(), warnings=(), no_image=why)


def _start(fd: int, *, niceness: int) -> subprocess.Popen[bytes]:
    # -P: the directory that the server happens to be started in adds no modules.
    command = (sys.executable, "-P", "-m", "dnsd.zonefile", str(fd), str(niceness))
    return subprocess.Popen(  # noqa: S603 - all words of the command are ours
        command, pass_fds=(fd,), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def _ask(process: subprocess.Popen[bytes], request: Request) -> bytes:
    """Return all that the process says until its end."""
    if process.stdin is None or process.stdout is None:
        raise OSError("no pipe to the process that reads the file")
    with suppress(BrokenPipeError):  # it has ended: its status says how
        write_all(process.stdin.fileno(), pickle.dumps(request))
    return process.stdout.read()


def _how_it_ended(status: int) -> str:
    what = f"the process that reads it was ended by signal {-status}"
    if status == -signal.SIGKILL:
        return f"{what}, perhaps because memory ran out"
    return what if status < 0 else f"the process that reads it ended with status {status}; its own words are above"


def main() -> int:
    """Read one zone on behalf of the process that started this one; returns the exit status."""
    fd, niceness = int(sys.argv[1]), int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal's; the first ends it without many words
        signal.signal(number, signal.SIG_DFL if number == signal.SIGINT else signal.SIG_IGN)
    os.nice(niceness)
    gc.disable()  # nothing here is given back before the end
    request = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own process
    threading.Thread(target=_end_when_alone, daemon=True).start()
    checked = read_and_check(request)
    no_image = ""
    try:
        write_all(fd, checked.image())
    except NO_IMAGE as error:
        no_image = why_no_image(error)
    sys.stdout.buffer.write(pickle.dumps(Reply(checked.good, checked.problems, checked.warnings, no_image)))
    sys.stdout.buffer.flush()
    os._exit(0)  # to take all those objects apart would take as long as to check them


def _end_when_alone() -> None:
    """End this process with the one that has started it."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)
