"""The pool of workers: starts them, hands generations over, knows what all have applied, replaces whoever ends.

Owns the current snapshot as the workers have it. It must not know where snapshots come from.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dnsd.control.answerlog import AnswerLog
from dnsd.control.worker_handle import Stage, WorkerHandle
from dnsd.control.worker_limits import (
    APPLY_SECONDS,
    LASTING_SECONDS,
    LOAD_SECONDS,
    MAX_BACKOFF_SECONDS,
    STALL_SECONDS,
    STOP_SECONDS,
    WATCH_SECONDS,
    backoff_seconds,
)
from dnsd.core.policy import DEFAULT_POLICY, AnswerPolicy
from dnsd.core.records import Delta, Snapshot
from dnsd.core.trace import Answered
from dnsd.errors import StartError
from dnsd.transports.limits import TcpLimits
from dnsd.transports.sockets import Address
from dnsd.workers.channel import Encoded, encode
from dnsd.workers.messages import Certify, Counters, Fronts, Load, Open
from dnsd.workers.takeover import ORPHAN_SECONDS

_log = logging.getLogger(__name__)

OnApplied = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A worker as shown to people.

    Args:
        generation: the oldest that it may answer from.
        ready: it serves.
    """

    pid: int
    generation: int
    ready: bool


@dataclass(slots=True)
class _Slot:
    """A place in the pool: the worker in it, and what became of those before."""

    number: int
    worker: WorkerHandle | None = None
    restarts: int = 0
    quick_ends: int = 0
    past: Counters = field(default_factory=Counters)
    start: asyncio.Task[None] | None = None


class WorkerPool:
    """Answer processes that share their listen addresses.

    Args:
        listen: IP addresses and ports; each UDP and TCP.
        fronts: where they answer besides plain DNS; with TLS or HTTPS among them, `certify` comes before `start`.
        count: number of workers, 1 or more.
        tcp_limits: for each worker.
        on_applied: told of each acknowledgement: slot, generation, revision; must not raise.
        on_progress: told that `applied_generation` may have risen, after an acknowledgement or the end of a worker;
            must not raise.
        apply_seconds: from handing over a generation to taking a silent worker for hung.
        orphan_seconds: how long workers go on answering after the control process has died.

    Attributes:
        answers: what workers have told of the pools that generations changed; its clock is the monotonic one.
    """

    def __init__(
        self,
        *,
        listen: Sequence[Address],
        count: int,
        fronts: Fronts | None = None,
        tcp_limits: TcpLimits | None = None,
        on_applied: OnApplied | None = None,
        on_progress: Callable[[], None] | None = None,
        apply_seconds: float = APPLY_SECONDS,
        orphan_seconds: float = ORPHAN_SECONDS,
    ) -> None:
        # Plain tuples: a worker must be able to unpickle them without the modules of the configuration.
        addresses = tuple((host, port) for host, port in listen)
        self._order = Open(
            listen=addresses,
            fronts=fronts or Fronts(),
            tcp_limits=tcp_limits or TcpLimits(),
            orphan_seconds=orphan_seconds,
        )
        self._slots = tuple(_Slot(number) for number in range(count))
        self._on_applied = on_applied
        self._on_progress = on_progress
        self._apply_seconds = apply_seconds
        self.answers = AnswerLog()
        self._snapshot = Snapshot(0, 0, {}, {})
        self._policy = DEFAULT_POLICY
        self._certificate: Certify | None = None
        self._running = False
        self._waiting: set[tuple[int, asyncio.Future[None]]] = set()
        self._watch: asyncio.TimerHandle | None = None
        self._watched_at = 0.0

    async def start(self, snapshot: Snapshot) -> None:
        """Start every worker; returns when all of them answer.

        Args:
            snapshot: the pool's own from now on: what is published changes its overlay.

        Raises:
            StartError: one line that says why; no process is left.
        """
        self._snapshot = snapshot
        try:
            for slot in self._slots:
                await self._start_worker(slot)
            self._watch_next()
            await asyncio.gather(*(worker.ready for worker in self._workers))
        except BaseException:
            await self._end_all(patience_seconds=0.0)
            raise
        self._running = True
        for slot in self._slots:
            if slot.worker is None:  # it answered, and ended before the last one did
                self._restart(slot)

    async def stop(self) -> None:
        """Let every worker finish what it has begun, and end them all."""
        self._running = False
        await self._end_all(patience_seconds=STOP_SECONDS)

    def publish(self, delta: Delta) -> None:
        """Hand the next generation, with zones where a reload has changed some, to every worker, without waiting."""
        self._snapshot = self._snapshot.advanced(delta)
        seconds = max(LOAD_SECONDS, self._apply_seconds) if delta.zones else self._apply_seconds
        self._hand_over(encode(delta), within_seconds=seconds)

    def configure(self, policy: AnswerPolicy) -> None:
        """Have every worker answer by a policy, those that are still to be started included.

        What is handed over next is acknowledged after it was taken.
        """
        if policy != self._policy:
            self._policy = policy
            for worker in self._workers:
                worker.configure(policy)

    def certify(self, certificate: bytes, key: bytes) -> None:
        """Have every worker use a certificate for new TLS connections, those still to be started included.

        Args:
            certificate, key: PEM, checked.
        """
        order = Certify(certificate, key)
        if order != self._certificate:
            self._certificate = order
            for worker in self._workers:
                worker.certify(order)

    async def wait_applied(self, generation: int, *, timeout_seconds: float) -> bool:
        """Wait until no worker answers from an older generation.

        Returns:
            Whether it came to that in time.
        """
        if self.applied_generation >= generation:
            return True
        entry = (generation, asyncio.get_running_loop().create_future())
        self._waiting.add(entry)
        try:
            await asyncio.wait_for(entry[1], timeout_seconds)
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(entry)
        return True

    @property
    def applied_generation(self) -> int:
        """The oldest generation that any worker may answer from."""
        return min((worker.generation for worker in self._answering), default=self._snapshot.generation)

    @property
    def applied_revision(self) -> int:
        """The oldest revision that any worker may answer from."""
        return min((worker.revision for worker in self._answering), default=self._snapshot.revision)

    @property
    def workers(self) -> tuple[WorkerInfo, ...]:
        """The workers that are there now."""
        return tuple(
            WorkerInfo(pid=worker.pid, generation=worker.generation, ready=worker.stage is Stage.SERVING)
            for worker in self._workers
        )

    @property
    def restarts(self) -> int:
        """How often a worker was replaced."""
        return sum(slot.restarts for slot in self._slots)

    def counters(self) -> Counters:
        """Return what all workers have done since the start, as of their last counters, at most about 1 s ago.

        It never falls, but for `tcp_open`. What a worker did between its last counters and a sudden end is not in it.
        """
        total = Counters()
        for slot in self._slots:
            total += slot.past
            if slot.worker is not None:
                total += slot.worker.counters
        return total

    async def count(self, *, timeout_seconds: float = 1.0) -> Counters:
        """Return `counters` as of now, for as many workers as answer in time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(worker.count() for worker in self._workers)), timeout_seconds)
        return self.counters()

    # What workers tell (`WorkerOwner`).

    def loaded(self, worker: WorkerHandle) -> None:
        """Let a worker that has its snapshot listen."""
        worker.open(self._order)

    def told(self, generation: int, answered: Mapping[bytes, Answered]) -> None:
        """Keep what a worker tells of its answers."""
        self.answers.tell(generation, answered, steady=time.monotonic())

    def applied(self, worker: WorkerHandle) -> None:
        """Pass an acknowledgement on."""
        if self._on_applied is not None:
            self._on_applied(worker.slot, worker.generation, worker.revision)
        self._progressed()

    def gone(self, worker: WorkerHandle) -> None:
        """Replace a worker that has ended."""
        slot = self._slots[worker.slot]
        if slot.worker is not worker:
            return
        slot.worker = None
        self.answers.lose(steady=time.monotonic())
        slot.past += replace(worker.counters, tcp_open=0)
        now = asyncio.get_running_loop().time()
        lasted = worker.serving_since is not None and now - worker.serving_since >= LASTING_SECONDS
        slot.quick_ends = 1 if lasted else slot.quick_ends + 1
        self._progressed()  # who is gone holds up nobody
        if self._running:
            _log.warning("worker %d (pid %d) is gone: %s", worker.slot, worker.pid, worker.end_reason)
            self._restart(slot)

    # Its own work.

    @property
    def _workers(self) -> list[WorkerHandle]:
        return [slot.worker for slot in self._slots if slot.worker is not None]

    @property
    def _answering(self) -> list[WorkerHandle]:
        return [worker for worker in self._workers if worker.may_answer]

    def _hand_over(self, encoded: Encoded, *, within_seconds: float) -> None:
        for worker in self._workers:
            self._send_current(worker, encoded, within_seconds=within_seconds)

    def _send_current(self, worker: WorkerHandle, encoded: Encoded, *, within_seconds: float) -> None:
        worker.send_generation(
            encoded,
            generation=self._snapshot.generation,
            revision=self._snapshot.revision,
            within_seconds=within_seconds,
        )

    def _progressed(self) -> None:
        applied = self.applied_generation
        for generation, future in self._waiting:
            if generation <= applied and not future.done():
                future.set_result(None)
        if self._on_progress is not None:
            self._on_progress()

    async def _start_worker(self, slot: _Slot) -> None:
        worker = await WorkerHandle.spawn(slot.number, self)
        # No await from here on: what is published next goes to this worker as well.
        slot.worker = worker
        worker.configure(self._policy)
        if self._certificate is not None:
            worker.certify(self._certificate)
        self._send_current(worker, encode(Load(self._snapshot)), within_seconds=LOAD_SECONDS)

    def _restart(self, slot: _Slot) -> None:
        slot.restarts += 1
        slot.start = asyncio.get_running_loop().create_task(self._start_again(slot))

    async def _start_again(self, slot: _Slot) -> None:
        delay = backoff_seconds(slot.quick_ends)
        if delay:
            _log.warning("worker %d is started again in %g s", slot.number, delay)
        while True:
            await asyncio.sleep(delay)
            try:
                await self._start_worker(slot)
            except StartError as error:  # no process or descriptor to be had: a later attempt may find one
                _log.error("worker %d: %s", slot.number, error)
                delay = MAX_BACKOFF_SECONDS
            else:
                return

    def _watch_next(self) -> None:
        loop = asyncio.get_running_loop()
        self._watched_at = loop.time()
        self._watch = loop.call_later(WATCH_SECONDS, self._watch_workers)

    def _watch_workers(self) -> None:
        now = asyncio.get_running_loop().time()
        stalled = now - self._watched_at > WATCH_SECONDS + STALL_SECONDS
        for worker in self._workers:
            if stalled:
                worker.forgive(now)
            elif reason := worker.overdue(now):
                worker.kill(reason)
        self._watch_next()

    async def _end_all(self, *, patience_seconds: float) -> None:
        if self._watch is not None:
            self._watch.cancel()
        for slot in self._slots:
            if slot.start is not None:
                slot.start.cancel()
                await asyncio.wait((slot.start,))
        workers = self._workers
        ends = [asyncio.ensure_future(worker.exited.wait()) for worker in workers]
        if not ends:
            return
        if patience_seconds:
            for worker in workers:
                worker.stop()
            await asyncio.wait(ends, timeout=patience_seconds)
        for worker in workers:
            if not worker.exited.is_set():
                worker.kill("it did not end by itself" if patience_seconds else "")
        await asyncio.wait(ends)
