"""One worker as the control process sees it: its process, its channel, and what it has acknowledged.

Owns a child process from its start to its reaping. It must not know of other workers, nor when to start one.

loading ──first Applied──► opening ──Ready──► serving
   │                          │                  │
   └──────────────── its process ends ───────────┴──► gone
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from dnsd.control.worker_limits import LOAD_SECONDS, SILENCE_SECONDS, START_SECONDS
from dnsd.core.policy import AnswerPolicy
from dnsd.core.trace import Answered
from dnsd.errors import StartError
from dnsd.workers.channel import Channel, Encoded, descriptor_pair, encode
from dnsd.workers.messages import Applied, Certify, Configure, Count, Counters, Failed, Open, Ready, Stop

_log = logging.getLogger(__name__)


class Stage(enum.Enum):
    """How far a worker has come."""

    LOADING = "loading"  # it has no socket, and holds up nobody
    OPENING = "opening"  # told to listen: from here on it may answer, and its acknowledgement is waited for
    SERVING = "serving"
    GONE = "gone"  # its process has ended and is reaped


class WorkerOwner(Protocol):
    """Who is told what happens to a worker."""

    def loaded(self, worker: WorkerHandle) -> None:
        """It has its first snapshot, and waits to be opened."""

    def told(self, generation: int, answered: Mapping[bytes, Answered]) -> None:
        """It tells of the pools that a generation changed, and acknowledges it next."""

    def applied(self, worker: WorkerHandle) -> None:
        """It has acknowledged a generation."""

    def gone(self, worker: WorkerHandle) -> None:
        """Its process has ended; called once."""


class WorkerHandle:
    """A worker's process; made by `spawn`.

    Args:
        slot: its place in the pool, from 0.
        owner: told of what happens.

    Attributes:
        generation, revision: the oldest that it may answer from.
        counters: the last that it sent.
        serving_since: of the event loop's clock; None until it serves.
        end_reason: why it has ended, once it is gone.
        ready: done when it serves; fails with `StartError` where it ends before.
    """

    def __init__(self, slot: int, owner: WorkerOwner, *, process: subprocess.Popen[bytes]) -> None:
        loop = asyncio.get_running_loop()
        self._pidfd = _open_pidfd(process)
        loop.add_reader(self._pidfd, self._process_exited)
        self.slot = slot
        self.pid = process.pid
        self.serving_since: float | None = None
        self.stage = Stage.LOADING
        self.generation = self.revision = -1
        self.counters = Counters()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.exited = asyncio.Event()
        self._owner = owner
        self._process = process
        self.end_reason = ""
        self._channel: Channel | None = None
        self._sent = (-1, -1)
        self._unacknowledged: deque[tuple[int, float]] = deque()  # generation, deadline
        self._start_deadline = loop.time() + START_SECONDS
        self._heard_at = loop.time()
        self._count_number = 0
        self._counted = asyncio.Event()
        self._process_ended = self._channel_ended = False

    @classmethod
    async def spawn(cls, slot: int, owner: WorkerOwner) -> WorkerHandle:
        """Start a process; it waits for its first generation.

        Raises:
            StartError: the process cannot be started.
        """
        try:
            with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
                sock, inherited = socket.socketpair()
                ours.push(sock)
                theirs.push(inherited)
                descriptors, taken = descriptor_pair()
                ours.push(descriptors)
                theirs.push(taken)
                worker = cls(slot, owner, process=_start_process(inherited.fileno(), taken.fileno()))
                ours.pop_all()
        except OSError as error:
            raise StartError(f"cannot start a worker: {error}") from error
        try:
            worker._channel = await Channel.over(
                sock, on_message=worker._received, on_closed=worker._channel_closed, descriptors=descriptors
            )
        except BaseException:
            descriptors.close()
            worker._channel_ended = True
            worker.kill()
            await worker.exited.wait()
            raise
        return worker

    @property
    def may_answer(self) -> bool:
        """Say whether its sockets may be open."""
        return self.stage in (Stage.OPENING, Stage.SERVING)

    def send_generation(self, encoded: Encoded, *, generation: int, revision: int, within_seconds: float) -> None:
        """Hand over a generation.

        Args:
            encoded: an encoded `Load` or `Delta`.
            within_seconds: from now to its acknowledgement, or it counts as hung.
        """
        deadline = asyncio.get_running_loop().time() + within_seconds
        if self._unacknowledged:  # it works in order, and what comes first may take longer
            deadline = max(deadline, self._unacknowledged[-1][1])
        self._unacknowledged.append((generation, deadline))
        self._sent = (generation, revision)
        self._send(encoded)

    def open(self, order: Open) -> None:
        """Tell it to listen and answer."""
        # It applies everything that was sent so far before it opens a socket: messages keep their order.
        self.generation, self.revision = self._sent
        self.stage = Stage.OPENING
        self._send(encode(order))

    def configure(self, policy: AnswerPolicy) -> None:
        """Tell it how to answer."""
        self._send(encode(Configure(policy)))

    def certify(self, order: Certify) -> None:
        """Tell it who to be to TLS clients."""
        self._send(encode(order))

    async def count(self) -> None:
        """Wait until `counters` tells of everything up to this call, or the worker has ended."""
        self._count_number += 1
        number = self._count_number
        self._send(encode(Count(number)))
        while self.counters.asked < number and self.stage is not Stage.GONE:
            await self._counted.wait()

    def stop(self) -> None:
        """Ask it to end."""
        self._send(encode(Stop()))

    def kill(self, reason: str = "") -> None:
        """End its process at once."""
        if reason:
            self.end_reason = reason
            _log.warning("worker %d (pid %d) is killed: %s", self.slot, self.pid, reason)
        if self.stage is not Stage.GONE:
            self._process.kill()

    def overdue(self, now: float) -> str:
        """Say what it has failed to do in time, or nothing."""
        if self._unacknowledged and now > self._unacknowledged[0][1]:
            return f"it has not acknowledged generation {self._unacknowledged[0][0]}"
        if self.stage is Stage.SERVING and now > self._heard_at + SILENCE_SECONDS:
            return f"it gave no sign of life for {SILENCE_SECONDS:g} s"
        if self.stage is not Stage.SERVING and now > self._start_deadline:
            return f"it was not ready within {START_SECONDS:g} s"
        return ""

    def forgive(self, now: float) -> None:
        """Begin all time limits anew: it was the control process that stood still."""
        self._heard_at = now
        self._start_deadline = now + START_SECONDS
        self._unacknowledged = deque((generation, now + LOAD_SECONDS) for generation, _ in self._unacknowledged)

    def _send(self, encoded: Encoded) -> None:
        if self._channel is not None and self.stage is not Stage.GONE:
            try:
                self._channel.send_encoded(encoded)
            except BlockingIOError:
                self.kill("it does not take what it is sent: the zones of several reloads are waiting for it")
            except OSError as error:
                self.kill(f"a zone cannot be handed to it: {error.strerror or error}")

    def _received(self, message: object) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        match message:
            case Applied(generation, revision, answered):
                # First: with the acknowledgement it is taken that everything was told.
                self._owner.told(generation, answered)
                self._applied(generation, revision)
            case Counters():
                self.counters = message
                self._counted.set()  # wakes those who wait now
                self._counted = asyncio.Event()
            case Ready():
                self.stage = Stage.SERVING
                self.serving_since = self._heard_at
                self.ready.set_result(None)
            case Failed(reason):
                self.end_reason = reason
            case _:
                raise TypeError(f"a worker sends no {type(message).__name__}")

    def _applied(self, generation: int, revision: int) -> None:
        while self._unacknowledged and self._unacknowledged[0][0] <= generation:
            self._unacknowledged.popleft()
        first = self.generation < 0
        if generation >= self.generation:
            self.generation, self.revision = generation, revision
        if first:
            self._owner.loaded(self)
        self._owner.applied(self)

    def _channel_closed(self, _error: Exception | None) -> None:
        self._channel_ended = True
        if self._process_ended:
            self._finish()
        else:
            # Mostly it is just dying. If not, nobody can reach it any more, and it would answer what it has for ever.
            self.kill()

    def _process_exited(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._process.wait()  # it has ended: this only reaps it
        self._process_ended = True
        if self._channel_ended:  # else its last message is still to be read, and the end of the channel follows
            self._finish()

    def _finish(self) -> None:
        self.stage = Stage.GONE
        self.end_reason = self.end_reason or _how_it_ended(self._process.returncode)
        if not self.ready.done():
            self.ready.set_exception(StartError(self.end_reason))
            self.ready.exception()  # whoever does not wait for it need not be warned
        self._counted.set()
        self.exited.set()
        self._owner.gone(self)


def _start_process(*fds: int) -> subprocess.Popen[bytes]:
    # -P: the directory that the server happens to be started in adds no modules.
    command = (sys.executable, "-P", "-m", "dnsd.workers", *map(str, fds))
    return subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603 - all words of the command are ours


def _open_pidfd(process: subprocess.Popen[bytes]) -> int:
    try:
        return os.pidfd_open(process.pid)
    except OSError:  # out of descriptors: nobody would notice the end of that process
        process.kill()
        process.wait()
        raise


def _how_it_ended(status: int) -> str:
    return f"a worker was ended by signal {-status}" if status < 0 else f"a worker ended with status {status}"
