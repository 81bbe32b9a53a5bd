"""The answers to calls, each made once for all who ask it, and the clients that wait for another one.

 asked ─► answered at once ─ index of another answer, or none
   └───── waits ─ its answer differs │ its time is over │ its connection has gone │ the adapter ends ─► answered

A change costs what the answers cost that somebody waits for and that it may concern; what nobody waits for is made when
it is asked for. It knows no HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dnsd.adapters.consul.calls import Call, make_answer
from dnsd.adapters.consul.catalog import Catalog, Touched
from dnsd.adapters.sending import SEND_SECONDS
from dnsd.adapters.turns import Turns
from dnsd.adapters.writing import written
from dnsd.control.plane import ControlPlane

# Changes within this time are told together, and a busy fleet leaves the control process its time: the pause is so many
# times what the last round took, within bounds. Units: seconds; rounds; seconds.
GATHER_SECONDS = 0.05
PAUSE_ROUNDS = 4
MAX_PAUSE_SECONDS = 5.0

# Nodes that are looked at before others get their turn, and a fleet whose answers are written at once: less than 10 ms,
# which a drain may have to wait. Unit: nodes.
NODES_AT_ONCE = 50

# Answers that nobody asks for and that keep their index all the same, and the text of all. Units: answers; bytes.
ANSWERS_KEPT = 1024
BYTES_KEPT = 32 * 1024 * 1024

# The text of all answers that are kept or still being sent, some twenty lists of ten thousand nodes: while there is
# more, nothing is made, until those who do not read theirs are cut off. Unit: bytes.
BYTES_IN_ALL = 256 * 1024 * 1024

# How often it is looked whether those who wait are still there. Unit: seconds.
SWEEP_SECONDS = 1.0

Waiting = dict[asyncio.Future[None], Callable[[], bool]]


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Answer:
    """What a call is answered, and the index at which it came to be that; there while somebody is being sent it."""

    body: bytes
    index: int


@dataclass(slots=True)
class Watched:
    """A call's answer.

    Args:
        answer: as it was made last; None: never, or it is not kept.
        index: of the last answer; 0: there was none.
        digest: of its body.
        stale: what it is made of may have changed since.
        making: the making of it that is under way, for all who need it.
        waiting: those who wait for another one, each with what says whether it still is there.
        users: who asks or waits.
    """

    answer: Answer | None = None
    index: int = 0
    digest: bytes = b""
    stale: bool = True
    making: asyncio.Task[Answer] | None = None
    waiting: Waiting = field(default_factory=dict)
    users: int = 0


class Answers:
    """The answers of one adapter.

    Args:
        plane: what they are about.
        datacenter: what the fleet is called.
    """

    def __init__(self, plane: ControlPlane, *, datacenter: str) -> None:
        self._plane = plane
        self._datacenter = datacenter
        self._catalog = Catalog(plane)
        self._used: dict[Call, Watched] = {}
        self._idle: dict[Call, Watched] = {}  # in the order of their last use
        self._held = 0  # bytes of all answers that are kept
        self._alive = 0  # and of those beside them that somebody still has
        self._let_go = asyncio.Event()
        self._seen: int | None = None  # up to which number of the news the catalog goes; None: it is empty
        self._catching_up = asyncio.Lock()
        self._turn = asyncio.Lock()  # one answer is made at a time: threads are few, and others need them
        self._turns = Turns()  # of those who are woken
        self._ending = False

    @property
    def blocked(self) -> int:
        """How many wait."""
        return sum(len(each.waiting) for each in self._used.values())

    async def run(self) -> None:
        """Follow the fleet, until cancelled; those who wait then are answered."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow())
                group.create_task(self._sweep())
        finally:
            self._ending = True
            for watched in self._used.values():
                _wake(watched.waiting)

    async def answer(self, call: Call, *, index: int, wait_seconds: float, is_there: Callable[[], bool]) -> Answer:
        """Return a call's answer once it is another than the one of an index, or the time is over.

        Args:
            index: what the client has; 0, or one of another answer: it does not wait.
            wait_seconds: for how long at most.
            is_there: says whether the client still is.
        """
        watched = self._used.get(call) or self._idle.pop(call, None) or Watched()
        self._used[call] = watched
        watched.users += 1
        try:
            await self._catch_up()
            answer = await self._present(call, watched)
            if index != answer.index:
                return answer
            del answer  # who waits holds no text
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    while watched.index == index and is_there() and not self._ending:
                        if watched.stale:
                            # It became so while it was made: whoever follows the fleet has been here before us.
                            await self._present(call, watched)
                        else:
                            await _woken(watched, is_there)
            if not self._ending:
                await self._turns.take()
            return await self._present(call, watched)
        finally:
            watched.users -= 1
            if not watched.users:
                self._idle[call] = self._used.pop(call)
                self._forget()

    async def _present(self, call: Call, watched: Watched) -> Answer:
        """Return an answer that was made of nothing older than the catalog is now."""
        if watched.making is not None:
            # It may have begun before the change that is asked for; who gives up must not take it from the others.
            await asyncio.shield(watched.making)
        if watched.answer is not None and not watched.stale:
            return watched.answer
        if watched.making is None:
            watched.making = asyncio.create_task(self._make(call, watched))
        return await asyncio.shield(watched.making)

    async def _make(self, call: Call, watched: Watched) -> Answer:
        try:
            async with self._turn:
                await self._wait_for_room()
                return self._keep(watched, await self._made(call, watched))
        except BaseException:
            watched.stale = True
            raise
        finally:
            watched.making = None

    async def _made(self, call: Call, watched: Watched) -> Answer:
        watched.stale = False
        index = self._catalog.index
        make = make_answer(self._catalog, call, datacenter=self._datacenter)
        if len(self._catalog.known) <= NODES_AT_ONCE:
            body = written(make())
        else:
            # Of a large fleet it is megabytes of text, and drains must not wait for it.
            body = await asyncio.to_thread(lambda: written(make()))
        digest = hashlib.sha256(body).digest()
        if digest != watched.digest:
            watched.digest, watched.index = digest, index
            _wake(watched.waiting)
        answer = Answer(body, watched.index)
        self._alive += len(body)
        weakref.finalize(answer, self._forget_text, len(body)).atexit = False
        return answer

    async def _wait_for_room(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEND_SECONDS):
                while self._alive > BYTES_IN_ALL:
                    self._let_go.clear()
                    await self._let_go.wait()

    def _forget_text(self, size: int) -> None:
        self._alive -= size
        self._let_go.set()

    def _keep(self, watched: Watched, answer: Answer) -> Answer:
        self._drop(watched)
        self._held += len(answer.body)
        watched.answer = answer
        self._forget()
        return answer

    def _drop(self, watched: Watched) -> None:
        if watched.answer is not None:
            self._held -= len(watched.answer.body)
            watched.answer = None

    def _forget(self) -> None:
        """Keep within the bounds: what was not asked for the longest goes first."""
        while len(self._idle) > ANSWERS_KEPT:
            self._drop(self._idle.pop(next(iter(self._idle))))
        if self._held > BYTES_KEPT:
            for watched in (*self._idle.values(), *self._used.values()):
                self._drop(watched)
                if self._held <= BYTES_KEPT:
                    break

    # --- following the fleet ------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        loop, news = asyncio.get_running_loop(), self._plane.changed
        await self._catch_up()
        heard = 0
        while True:
            # By a number of its own: whoever asks may catch up meanwhile, and wakes nobody.
            await news.after(heard)
            await asyncio.sleep(GATHER_SECONDS)
            began, heard = loop.time(), news.number
            await self._catch_up()
            for call, watched in list(self._used.items()):
                if watched.waiting and watched.stale:
                    await self._present(call, watched)
            await asyncio.sleep(min(PAUSE_ROUNDS * (loop.time() - began), MAX_PAUSE_SECONDS))

    async def _catch_up(self) -> None:
        """Bring the catalog to what is published."""
        news = self._plane.changed
        async with self._catching_up:
            if self._seen == news.number:
                return
            number = news.number
            nodes = None if self._seen is None else news.since(self._seen)
            everybody = self._plane.publisher.fleet.nodes.keys() | self._catalog.known
            keys = sorted(everybody if nodes is None else nodes)
            for begin in range(0, len(keys), NODES_AT_ONCE):
                if begin:
                    await asyncio.sleep(0)
                self._note(self._catalog.take(keys[begin : begin + NODES_AT_ONCE]))
            self._seen = number

    def _note(self, touched: Touched) -> None:
        if touched.folded:
            for call, watched in (*self._used.items(), *self._idle.items()):
                watched.stale = watched.stale or call.concerned(touched)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for watched in self._used.values():
                _wake([future for future, is_there in watched.waiting.items() if not is_there()])


async def _woken(watched: Watched, is_there: Callable[[], bool]) -> None:
    """Wait until there may be another answer, or the client has gone."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    watched.waiting[future] = is_there
    try:
        await future
    finally:
        watched.waiting.pop(future, None)


def _wake(futures: Iterable[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
