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

from dnsd.core import names
from dnsd.core.zonebuild import zone_of
from dnsd.core.zoneimage import ZoneImage
from dnsd.errors import Problem
from dnsd.sharedbytes import SharedBytes, new_memfd, write_all
from dnsd.zonefile.zone import Request, ZoneFile, nothing_of, read_and_check, read_requested

# From this size on, a file is read in a process of its own. To start one takes 0.2 s, in which about 15,000 records are
# read. Unit: bytes of the zone's own file.
LARGE_FILE_SIZE = 1 << 20

# Answers come before the reading of what is to be answered next. Unit: steps of nice(2).
NICENESS = 10

_readers: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True, slots=True)
class Reply:
    """What the process says besides the image.

    Args:
        good: the image is that of a zone which can be served.
        problems, warnings: as of `ZoneFile`.
    """

    good: bool
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def read_zones(requests: Sequence[Request], *, hurry: bool) -> list[ZoneFile]:
    """Read zones, the large ones side by side and apart.

    Args:
        hurry: nobody is answered before they are read; else whoever answers has precedence.

    Returns:
        What came of each, in the same order.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as threads:
        large: dict[int, Future[ZoneFile]] = {
            place: threads.submit(read_apart, request, hurry=hurry)
            for place, request in enumerate(requests)
            if _is_large(request)
        }
        small = {place: read_requested(request) for place, request in enumerate(requests) if place not in large}
        return [large[place].result() if place in large else small[place] for place in range(len(requests))]


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
    try:
        fd = new_memfd()
    except OSError:
        return read_requested(request)
    with ExitStack() as unless_kept:
        unless_kept.callback(os.close, fd)
        try:
            with _start(fd, niceness=0 if hurry else NICENESS) as process:
                _readers.add(process)
                try:
                    on_start(process.pid)
                    said = _ask(process, request)
                finally:
                    _readers.discard(process)
            if process.returncode != 0:
                return _not_read(request, _how_it_ended(process.returncode))
            memory = SharedBytes.sealed(fd)
        except OSError as error:
            return _not_read(request, str(error))
        unless_kept.pop_all()
    reply: Reply = pickle.loads(said)  # noqa: S301  (our own process)
    tree = zone_of(request.apex, ZoneImage(memory, verify=True))
    return ZoneFile(zone=tree if reply.good else None, names=tree, problems=reply.problems, warnings=reply.warnings)


def end_readers() -> None:
    """End the processes that read zones: this one is about to end, and nobody waits for them any more."""
    for process in tuple(_readers):
        process.kill()


def _is_large(request: Request) -> bool:
    try:
        return request.path.stat().st_size >= LARGE_FILE_SIZE
    except (OSError, ValueError):  # whoever reads it says so
        return False


def _start(fd: int, *, niceness: int) -> subprocess.Popen[bytes]:
    # -P: the directory that the server happens to be started in adds no modules.
    command = (sys.executable, "-P", "-m", "dnsd.zonefile", str(fd), str(niceness))
    return subprocess.Popen(  # noqa: S603
        command, pass_fds=(fd,), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def _ask(process: subprocess.Popen[bytes], request: Request) -> bytes:
    """Return all that the process says until its end."""
    if process.stdin is None or process.stdout is None:
        raise OSError("no pipe to the process that reads the file")
    with suppress(BrokenPipeError):  # it has ended: its status says how
        write_all(process.stdin.fileno(), pickle.dumps(request))
    return process.stdout.read()


def _not_read(request: Request, why: str) -> ZoneFile:
    message = f"it could not be read: {why}"
    problem = Problem(str(request.path), 0, names.to_text(request.apex), "not-read", message)
    return ZoneFile(zone=None, names=nothing_of(request.apex), problems=(problem,), warnings=())


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
    request = pickle.load(sys.stdin.buffer)  # noqa: S301  (our own process)
    threading.Thread(target=_end_when_alone, daemon=True).start()
    checked = read_and_check(request)
    write_all(fd, checked.image())
    sys.stdout.buffer.write(pickle.dumps(Reply(checked.good, checked.problems, checked.warnings)))
    sys.stdout.buffer.flush()
    os._exit(0)  # to take all those objects apart would take as long as to check them


def _end_when_alone() -> None:
    """End this process with the one that has started it."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)
