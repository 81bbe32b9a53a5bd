"""Commits decided on the very revision that they land on.

A decision is made from the fleet as it stands at one revision; the store takes it only if it is still there. If
somebody else came first, the writer catches up and decides again, so that what a decision rested on (a floor, a
drain's being there) still holds when it lands. What writes nothing, a repetition or a refusal, is held against the
store's revision just the same.

Deciding and committing take turns; that replicas have it is waited for beside others, who are not to wait for it too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dnsd.control.follower import Follower
from dnsd.control.publisher import Publisher
from dnsd.control.recovery import new_mark
from dnsd.control.storehealth import StoreHealth
from dnsd.errors import (
    ChangesTrimmed,
    NotReplicated,
    RequestError,
    RevisionConflict,
    RevisionLost,
    RevisionMoved,
    StoreDiverged,
    StoreUnavailable,
)
from dnsd.model.state import Change, ChangeRecord, HistoryEntry
from dnsd.model.times import to_milliseconds
from dnsd.stores.base import DrainStore

# How often a commit is decided anew because other servers keep coming first. Unit: attempts.
MAX_ATTEMPTS = 50

# How often it is looked whether replicas that were missing are there again. Unit: seconds.
LOOK_SECONDS = 2.0

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[ResultT]):
    """What a writer wants done, and what it answers then.

    Args:
        changes: empty: nothing is to be written.
        history: what to append; entries name the revision that the commit leads to.
        stands: where there are no changes: the answer says that what was asked for is so already, which is a promise.
    """

    result: ResultT
    changes: Sequence[Change] = ()
    history: Sequence[HistoryEntry] = ()
    stands: bool = True


@dataclass(frozen=True, slots=True)
class Moment:
    """What a decision is made on.

    Args:
        revision: of the fleet; the first change that is decided makes the next one.
        now: instant, in whole milliseconds.
        mark: by which the fleet knows its revision.
    """

    revision: int
    now: float
    mark: str = ""


@dataclass(frozen=True, slots=True)
class _Written(Generic[ResultT]):
    """What became of a decision.

    Args:
        revision, mark: at which it holds.
        stands: it is a promise, so that it must be confirmed.
    """

    result: ResultT
    revision: int
    mark: str
    stands: bool = True
    anything: bool = False


class Writer:
    """The one way to the store's commits in a control process."""

    def __init__(
        self,
        store: DrainStore,
        publisher: Publisher,
        follower: Follower,
        *,
        health: StoreHealth,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._follower = follower
        self._health = health
        self._clock = clock
        # Writers of this process would only conflict with each other.
        self._turn = asyncio.Lock()

    async def write(
        self, decide: Callable[[Moment], Decision[ResultT]], *, if_revision: int | None = None
    ) -> tuple[ResultT, int, bool]:
        """Decide, commit and publish.

        Args:
            decide: called with the present moment, again where it turns out that the store is further; raises what
                the caller is to see.
            if_revision: the only revision on which the caller wants it done; None: any.

        Returns:
            The decision's result, the revision it holds at, and whether anything was written.

        Raises:
            RevisionMoved: the fleet is at another revision than `if_revision`.
            StoreUnavailable: nothing was acknowledged.
        """
        written = await self._decided(decide, if_revision)
        if written.stands:
            await self._confirm(written.revision, written.mark)
        return written.result, written.revision, written.anything

    async def run(self) -> None:
        """Find out when replicas are there again, after a write that too few of them had; until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._health.why_unconfirmed is not None:
                fleet = self._publisher.fleet
                with contextlib.suppress(StoreUnavailable):  # noted
                    await self._confirm(fleet.revision, fleet.mark)

    async def _decided(
        self, decide: Callable[[Moment], Decision[ResultT]], if_revision: int | None
    ) -> _Written[ResultT]:
        """Decide, commit and publish, one after the other; what is written may be lost until it is confirmed."""
        async with self._turn:
            for _ in range(MAX_ATTEMPTS):
                fleet = self._publisher.fleet
                moment = Moment(fleet.revision, to_milliseconds(self._clock()), fleet.mark)
                try:
                    if if_revision is not None and if_revision != moment.revision:
                        raise RevisionMoved(f"the revision is {moment.revision}, not {if_revision}")
                    decision = decide(moment)
                except RequestError:
                    if await self._was_outdated(moment):
                        continue
                    raise
                if decision.changes:
                    try:
                        return await self._commit(decision, moment)
                    except RevisionConflict:
                        await self._follower.catch_up()
                        continue
                await self._follower.catch_up()
                fleet = self._publisher.fleet
                if (fleet.revision, fleet.mark) == (moment.revision, moment.mark):
                    return _Written(decision.result, moment.revision, moment.mark, stands=decision.stands)
        raise StoreUnavailable(f"others changed the store {MAX_ATTEMPTS} times in a row; try again")

    async def _was_outdated(self, moment: Moment) -> bool:
        """Say whether a refusal rests on a revision that others have left behind."""
        try:
            await self._follower.catch_up()
        except StoreUnavailable:
            return False  # noted by the follower; the refusal is the answer, as far as anybody knows
        return self._publisher.fleet.revision != moment.revision

    async def _commit(self, decision: Decision[ResultT], moment: Moment) -> _Written[ResultT]:
        mark = new_mark()
        with self._noting_writes():
            revision = await self._store.commit(
                expected_revision=moment.revision,
                expected_mark=moment.mark,
                changes=decision.changes,
                history=decision.history,
                at=moment.now,
                mark=mark,
            )
        if self._publisher.fleet.revision > revision:
            await self._check_kept(revision, mark)
        self._publisher.apply(
            [
                ChangeRecord(moment.revision + step, moment.now, change, mark)
                for step, change in enumerate(decision.changes, start=1)
            ]
        )
        return _Written(decision.result, revision, mark, anything=True)

    async def _check_kept(self, revision: int, mark: str) -> None:
        """See that what was written is in the store's history; the fleet may be past it because the store has lost it.

        Raises:
            RevisionLost: it is not.
            StoreUnavailable: nobody knows.
        """
        try:
            await self._store.changes(after=revision, mark=mark, limit=1)
        except StoreDiverged as error:
            raise RevisionLost(f"{self._store.label}: it has lost revision {revision}: try again") from error
        except ChangesTrimmed:
            pass  # so many followed

    async def _confirm(self, revision: int, mark: str) -> None:
        """Have the store make a revision lasting. Others may write meanwhile: replicas can take long."""
        with self._noting_writes():
            await self._store.confirm(revision=revision, mark=mark)
        self._health.was_confirmed()

    @contextlib.contextmanager
    def _noting_writes(self) -> Iterator[None]:
        try:
            yield
        except NotReplicated as error:
            self._health.failed_to_confirm(error)  # the store itself has taken it
            raise
        except RevisionLost:
            raise  # the follower finds out what else is lost
        except StoreUnavailable as error:
            self._health.failed_to_write(error)
            raise
        self._health.was_written()
