"""An answer process: takes generations from the control process and answers from the last one.

Owns the life of a worker. It must not know where generations come from, nor touch a disk while it serves.

loading ──Open──► serving ──Stop, SIGTERM──► ending
   │                 │ control process gone     ▲
   │ it is gone      ▼                          │ a new one takes over, or nobody comes
   └─► ending      orphaned ────────────────────┘
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
from collections.abc import Coroutine, Iterable
from dataclasses import replace

from dnsd.core.engine import Engine
from dnsd.core.policy import DEFAULT_POLICY, AnswerPolicy
from dnsd.core.records import Delta, Snapshot, Zone
from dnsd.core.zoneimage import ZoneImage
from dnsd.errors import StartError
from dnsd.housekeeping import settle, settle_more
from dnsd.transports.identity import Identity
from dnsd.workers.channel import Channel
from dnsd.workers.listeners import Listeners
from dnsd.workers.messages import Applied, Certify, Configure, Count, Failed, Load, Open, Ready, Stop
from dnsd.workers.ratewatch import RateWatch
from dnsd.workers.takeover import until_retired
from dnsd.workers.tally import Tally

# How often counters go to the control process, which takes them for a sign of life as well. Unit: seconds.
COUNTERS_SECONDS = 1.0

# A fault of ours in answering is logged with its traceback, at most once in this time: a client that found one must
# not be able to fill the disk. Unit: seconds.
FAILURE_LOG_SECONDS = 1.0

# Names that deltas bring as objects before the collector is told again that they stay. To walk through so many takes up
# to 0.1 s, and nothing is answered meanwhile. Not at each delta: what is open then would stay as well, about 1 kB of
# asyncio's for each TCP connection, which refers to itself and so ends by the collector alone. Unit: names of zones.
FREEZE_NAMES = 50_000

DONE = 0
FAILED = 1

_log = logging.getLogger(__name__)


class Worker:
    """One answer process, from its first message to its end."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._policy = DEFAULT_POLICY
        self._rates: RateWatch | None = None
        self._identity = Identity()
        self._listeners: Listeners | None = None
        self._order: Open | None = None
        self._tally = Tally()
        self._serving = False
        self._asked = 0
        self._unfrozen_names = 0
        self._failure_logged_at = -FAILURE_LOG_SECONDS
        self._successor: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[int]
        self._channel: Channel

    async def run(self, sock: socket.socket, *, descriptors: socket.socket | None = None) -> int:
        """Serve until told to end.

        Args:
            sock: our end of the channel.
            descriptors: that of its second pair; see `Channel`.

        Returns:
            An exit status.
        """
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        loop.add_signal_handler(signal.SIGTERM, self._end, DONE)
        self._channel = await Channel.over(
            sock, on_message=self._received, on_closed=self._lost_control, descriptors=descriptors
        )
        status = await self._ended
        if self._listeners is not None:
            await self._listeners.stop()
            self._send_counters()
        self._channel.close()
        return status

    def _end(self, status: int) -> None:
        if not self._ended.done():
            self._ended.set_result(status)

    def _received(self, message: object) -> None:
        match message:
            case Delta():
                self._apply_delta(message)
            case Load(snapshot):
                self._load(snapshot)
            case Configure(policy):
                self._configure(policy)
            case Certify(certificate, key):
                self._certify(certificate, key)
            case Open():
                self._start_task(self._open(message))
            case Count(number):
                self._asked = number
                self._send_counters()
            case Stop():
                self._end(DONE)
            case _:
                raise TypeError(f"a worker takes no {type(message).__name__}")

    def _apply_delta(self, delta: Delta) -> None:
        if self._engine is None:
            raise ValueError("a delta came before the first snapshot")
        before = self._engine.snapshot
        replaced = before.replaced_by(delta)
        # In place: this is the one thread, and no packet is half answered while a message is taken.
        after = before.advanced(delta)
        self._engine.swap(after, changed_pools=delta.changed_pools(replaced), renumbered=delta.serials.keys())
        # Only now: whoever hears of it may take it that no answer is rendered from the generation before.
        answered = self._tally.hand_on(replaced, after.overlay)
        self._channel.send(Applied(after.generation, after.revision, answered))
        if delta.zones:
            self._freeze_some(delta.zones.values())

    def _freeze_some(self, zones: Iterable[Zone]) -> None:
        self._unfrozen_names += sum(len(zone.nodes) for zone in zones if not isinstance(zone.nodes, ZoneImage))
        if self._unfrozen_names >= FREEZE_NAMES:
            self._unfrozen_names = 0
            settle_more()

    def _configure(self, policy: AnswerPolicy) -> None:
        self._policy = policy
        if self._engine is not None:
            self._engine.configure(policy)
        if self._rates is not None:
            self._rates.configure(policy.rate_limit)

    def _certify(self, certificate: bytes, key: bytes) -> None:
        try:
            self._identity.take(certificate, key)
        except ssl.SSLError as error:  # the control process has tried it: nothing of it is expected here
            _log.error("the certificate cannot be used: %s", error)

    def _load(self, snapshot: Snapshot) -> None:
        if self._engine is not None:
            raise ValueError("a second snapshot came where deltas were to follow")
        self._engine = Engine(snapshot, policy=self._policy, on_failure=self._log_failure)
        self._rates = RateWatch(self._engine)
        self._rates.configure(self._policy.rate_limit)
        settle()
        self._channel.send(Applied(snapshot.generation, snapshot.revision))

    async def _open(self, order: Open) -> None:
        if self._engine is None:
            raise ValueError("told to open before the first snapshot")
        self._order = order
        self._listeners = Listeners(
            self._engine, tcp_limits=order.tcp_limits, fronts=order.fronts, identity=self._identity
        )
        try:
            await self._listeners.open(order.listen)
        except StartError as error:
            self._channel.send(Failed(str(error)))
            self._end(FAILED)
            return
        self._serving = True
        if self._rates is not None:
            self._rates.start()
        self._channel.send(Ready(os.getpid()))
        self._count_regularly()

    def _count_regularly(self) -> None:
        self._send_counters()
        if self._engine is not None:
            self._tally.watch_clock(self._engine.snapshot.overlay)
        asyncio.get_running_loop().call_later(COUNTERS_SECONDS, self._count_regularly)

    def _send_counters(self) -> None:
        if self._listeners is not None:
            self._channel.send(replace(self._listeners.counters(), asked=self._asked))

    def _log_failure(self, failure: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._failure_logged_at >= FAILURE_LOG_SECONDS:
            self._failure_logged_at = now
            _log.error("a query met a fault of ours and got SERVFAIL", exc_info=failure)

    def _lost_control(self, error: Exception | None) -> None:
        if error is not None and not isinstance(error, OSError):
            _log.error("ends: the control process sent what it cannot use: %s", error)
            self._end(FAILED)
        elif self._serving and self._order is not None:
            self._start_task(self._go_on_alone(self._order))
        else:
            self._end(DONE)

    async def _go_on_alone(self, order: Open) -> None:
        _log.warning("the control process is gone; answering for at most %d s more", order.orphan_seconds)
        self._configure(replace(self._policy, stale=True))
        _let_go_of_output()
        # The connection stays open until this process ends: it tells the control process that nobody answers here.
        self._successor = await until_retired(order.addresses, seconds=order.orphan_seconds)
        self._end(DONE)

    def _start_task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("ends: %s", error, exc_info=error)
            self._channel.send(Failed(f"{type(error).__name__}: {error}"))
            self._end(FAILED)


def _let_go_of_output() -> None:
    """Stop holding the terminal or pipe of a process that is gone: its readers would wait for our end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
