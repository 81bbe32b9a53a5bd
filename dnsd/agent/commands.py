"""Runs a program of the operator's for a limited time: for a count, a health check or a hook.

No shell is in between. A program whose time is over is killed with what it has started.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)

# Of what a program prints; the rest is thrown away. Unit: bytes.
MAX_OUTPUT_SIZE = 64 * 1024

READ_SIZE = 8192  # bytes

# For a killed program to be gone; one that hangs in the kernel, as on a disk that is lost, may never be. Less than what
# a look at the node may be late. Unit: seconds.
KILL_SECONDS = 0.5

# All that a pipe holds, and no more: a program that prints without end must not keep the loop. Unit: reads.
READS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Args:
        status: exit status; below 0, the signal that ended it. None: its time was over, and it was killed.
        output: of standard output, and of standard error where that was asked for.
        why_not: why it could not be started; empty: it was.
    """

    status: int | None
    output: bytes = b""
    why_not: str = ""

    @property
    def problem(self) -> str:
        """What went wrong, in plain words; empty: nothing."""
        if self.why_not:
            return f"it cannot be started: {self.why_not}"
        if self.status is None:
            return "it did not end in time and was killed"
        if self.status < 0:
            return f"it was ended by signal {-self.status}"
        return f"it ended with {self.status}" if self.status else ""


async def run_command(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    with_errors: bool = False,
) -> Ended:
    """Run a program to its end, or until its time is over.

    Args:
        environment: on top of the agent's own.
        with_errors: what it writes to standard error belongs to its output; else it is dropped.
    """
    try:
        pipe = _Output()
    except OSError as error:  # no descriptor is left
        return Ended(None, why_not=error.strerror or str(error))
    with pipe as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output.writer,
                stderr=output.writer if with_errors else asyncio.subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Ended(None, why_not=getattr(error, "strerror", None) or str(error))
        output.started()
        try:
            async with asyncio.timeout(timeout_seconds):
                status = await process.wait()
        except TimeoutError:
            return Ended(None, bytes(output.kept))
        finally:
            if process.returncode is None:
                await _kill(process)
        output.take()
        return Ended(status, bytes(output.kept))


async def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill a program and what it has started, and wait for its end, but not for ever."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        async with asyncio.timeout(KILL_SECONDS):
            await process.wait()
    except TimeoutError:
        log.error("process %d does not end, although it was killed", process.pid)


class _Output:
    """A pipe for what a program prints, read as it comes, so that the program never waits for a reader.

    The library's own pipe would have the end of a program waited for until whatever it has left running lets go of it.
    """

    def __init__(self) -> None:
        self.kept = bytearray()
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC)
        self._open = True
        os.set_blocking(self._reader, False)

    def __enter__(self) -> _Output:
        asyncio.get_running_loop().add_reader(self._reader, self.take)
        return self

    def __exit__(self, *_: object) -> None:
        self.started()
        asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)

    def started(self) -> None:
        """Close the program's end, once the program has it."""
        if self._open:
            self._open = False
            os.close(self.writer)

    def take(self) -> None:
        """Take what is there; no more than the first part is kept."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(READS_AT_ONCE):
                data = os.read(self._reader, READ_SIZE)
                if not data:
                    asyncio.get_running_loop().remove_reader(self._reader)
                    return
                self.kept += data[: MAX_OUTPUT_SIZE - len(self.kept)]
