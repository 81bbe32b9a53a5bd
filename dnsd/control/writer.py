"""Commits decided on the very revision that they land on.

A decision is made from the fleet as it stands at one revision; the store takes it only if it is still there. If
somebody else came first, the writer catches up and decides again, so that what a decision rested on (a floor, a
drain's being there) still holds when it lands. What writes nothing, a repetition or a refusal, is held against the
store's revision just the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dnsd.control.follower import Follower
from dnsd.control.publisher import Publisher
from dnsd.control.recovery import new_mark
from dnsd.control.storehealth import StoreHealth
from dnsd.errors import NotReplicated, RequestError, RevisionConflict, RevisionMoved, StoreUnavailable
from dnsd.model.state import Change, ChangeRecord, HistoryEntry
from dnsd.model.times import to_milliseconds
from dnsd.stores.base import DrainStore

log = logging.getLogger(__name__)

# How often a commit is decided anew because other servers keep coming first. Unit: attempts.
MAX_ATTEMPTS = 50

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
                        return decision.result, await self._commit(decision, moment), True
                    except RevisionConflict:
                        await self._follower.catch_up()
                        continue
                await self._follower.catch_up()
                if self._publisher.fleet.revision == moment.revision:
                    if decision.stands:
                        await self._confirm()
                    return decision.result, moment.revision, False
        raise StoreUnavailable(f"others changed the store {MAX_ATTEMPTS} times in a row; try again")

    async def _was_outdated(self, moment: Moment) -> bool:
        """Say whether a refusal rests on a revision that others have left behind."""
        try:
            await self._follower.catch_up()
        except StoreUnavailable:
            return False  # noted by the follower; the refusal is the answer, as far as anybody knows
        return self._publisher.fleet.revision != moment.revision

    async def _commit(self, decision: Decision[ResultT], moment: Moment) -> int:
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
        self._publisher.apply(
            [
                ChangeRecord(moment.revision + step, moment.now, change, mark)
                for step, change in enumerate(decision.changes, start=1)
            ]
        )
        return revision

    async def _confirm(self) -> None:
        with self._noting_writes():
            await self._store.confirm()

    @contextlib.contextmanager
    def _noting_writes(self) -> Iterator[None]:
        try:
            yield
        except NotReplicated as error:
            log.warning("a write is not acknowledged: %s", error)  # the store itself has taken it
            raise
        except StoreUnavailable as error:
            self._health.failed_to_write(error)
            raise
        self._health.was_written()
