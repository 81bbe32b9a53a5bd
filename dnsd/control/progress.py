"""How far a node has left DNS: when answers stopped naming it, and until when caches may still hold one that did.

What counts is what the workers measured: the last answers of the pools that named the node, and their TTLs. Where none
of them told, a withdrawal counts from the moment at which every worker had applied it, with the whole TTL of the pool;
where one has died, from then. What is left is counted on a steady clock, so that a wall clock that is set forward
clears no cache; the wall clock's instants are for people.

named ──withdraw──► waiting for workers ──applied──► caches run out ──TTL──► clear
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dnsd.control.answerlog import AnswerLog
from dnsd.core.fleet_change import Withdrawal
from dnsd.core.names import from_text

# Resolvers count TTLs in whole seconds and may answer for the rest of the last one, and an answer is on its way for
# some milliseconds. Added to every TTL. Unit: seconds.
RESOLVER_SLACK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """How a node left the answers of a role.

    Args:
        withdrawn_at: instant since which no worker names it; None: not applied by all yet.
        max_ttl: seconds; the largest TTL that named it and that caches may count from, or would have where nobody
            asked; None: no pool did.
        caches_clear_at: instant at which the last answer has expired everywhere; None: not known, or none was given.
        seconds_left: until then, on the steady clock, 0 or more; None: not known, as not all workers have applied it.
        last_named_at: instant of the last answer of a pool that named it; None: there was none, or it is not known.
    """

    withdrawn_at: float | None
    max_ttl: int | None
    caches_clear_at: float | None
    seconds_left: float | None
    last_named_at: float | None = None


class Withdrawn(NamedTuple):
    """A generation in which a pool stopped naming a node, and the TTL with which it had."""

    generation: int
    ttl: int


@dataclass(frozen=True, slots=True)
class _Pending:
    """A withdrawal that some worker has not applied yet."""

    generation: int
    owner: str
    ttl: int


@dataclass(slots=True)
class _Record:
    """What is owed to caches for one node and role; instants on the wall clock unless they say steady."""

    pending: list[_Pending] = field(default_factory=list)
    max_ttl: int = 0
    counted_ttl: int = 0  # the largest that caches were found to count from
    withdrawn_at: float | None = None
    last_named_at: float | None = None
    clear_at: float = 0.0
    clear_at_steady: float = float("-inf")
    # By owner: the last withdrawal, and of those before it each that had a longer TTL than all that followed.
    withdrawn: dict[str, list[Withdrawn]] = field(default_factory=dict)


class DepartureLog:
    """The departures of every node and role since this server began to answer.

    Args:
        clock: gives the present instant.
        steady: gives seconds on a clock that nobody sets.
    """

    def __init__(self, *, clock: Callable[[], float], steady: Callable[[], float]) -> None:
        self._clock = clock
        self._steady = steady
        self._records: dict[str, dict[str, _Record]] = {}
        self._waiting: set[tuple[str, str]] = set()
        self._queue: deque[tuple[int, tuple[str, str]]] = deque()  # generation, (node, role); generations rise
        self._kept_elsewhere: float | None = None  # None: only workers answer
        self.begin()

    def answered_elsewhere(self, *, kept_seconds: float) -> None:
        """Note that other programs answer with what they read here, so that what workers tell is not all of it.

        From then on a withdrawal counts as one of which nobody told.

        Args:
            kept_seconds: for how long they may answer with what they have read.
        """
        self._kept_elsewhere = kept_seconds

    @property
    def slack_seconds(self) -> float:
        """What is added to every TTL."""
        return RESOLVER_SLACK_SECONDS + (self._kept_elsewhere or 0.0)

    def begin(self) -> None:
        """Note that from now on nobody else answers in this server's place; one before it may have until now."""
        self._begun_at = self._clock()
        self._begun_at_steady = self._steady()

    def withdraw(self, withdrawals: Iterable[Withdrawal], *, generation: int) -> None:
        """Note what a generation, not an older one than the last, takes out before any worker has applied it."""
        now = self._steady()
        for withdrawal in withdrawals:
            key = (withdrawal.node, withdrawal.role)
            record = self._records.setdefault(withdrawal.node, {}).setdefault(withdrawal.role, _Record())
            if key not in self._waiting and record.clear_at_steady <= now:
                record.max_ttl = record.counted_ttl = 0  # what caches held of earlier answers is gone
            record.pending.append(_Pending(generation, withdrawal.owner, withdrawal.ttl))
            record.max_ttl = max(withdrawal.ttl, record.max_ttl)
            earlier = record.withdrawn.setdefault(withdrawal.owner, [])
            while earlier and earlier[-1].ttl <= withdrawal.ttl:
                earlier.pop()
            earlier.append(Withdrawn(generation, withdrawal.ttl))
            record.withdrawn_at = None
            self._waiting.add(key)
            self._queue.append((generation, key))

    def applied(self, generation: int, answers: AnswerLog | None = None) -> None:
        """Note that every worker has applied a generation and those before it.

        Args:
            answers: what workers have told with it; None: nothing.
        """
        # Not all that wait: while workers are behind, each generation would cost as much as all of them.
        settled: set[tuple[str, str]] = set()
        while self._queue and self._queue[0][0] <= generation:
            settled.add(self._queue.popleft()[1])
        for key in settled:
            record = self._records[key[0]][key[1]]
            for each in record.pending:
                if each.generation <= generation:
                    self._settle(record, each, answers)
            record.pending = [each for each in record.pending if each.generation > generation]
            if not record.pending:
                record.withdrawn_at = self._clock()
                record.max_ttl = record.counted_ttl or record.max_ttl
                self._waiting.discard(key)

    def _settle(self, record: _Record, pending: _Pending, answers: AnswerLog | None) -> None:
        """Count from what was heard of a pool's answers, or from now where nobody told."""
        now, steady = self._clock(), self._steady()
        longest = pending.ttl + self.slack_seconds
        left, ttl = longest, pending.ttl
        heard = None if answers is None else answers.heard(from_text(pending.owner), pending.generation)
        if answers is not None and heard is not None and self._kept_elsewhere is None:
            # Whoever has died without a word may have answered until then.
            lost_left = answers.lost_at + longest - steady
            told_left = heard.clear_at - steady + RESOLVER_SLACK_SECONDS
            left = min(max(lost_left, told_left), longest)
            ttl = max(heard.max_ttl, pending.ttl if lost_left > 0 else 0)
            if heard.last_at != float("-inf"):
                record.last_named_at = max(record.last_named_at or 0.0, now - (steady - heard.last_at))
        if left == float("-inf"):
            return
        record.counted_ttl = max(record.counted_ttl, ttl)
        if steady + left >= record.clear_at_steady:
            record.clear_at = now + left
            record.clear_at_steady = steady + left

    def roles_of(self, node: str) -> tuple[str, ...]:
        """Return the roles in which a node has left answers, those included that it does not have any more."""
        return tuple(self._records.get(node, ()))

    def withdrawn(self, node: str, role: str) -> Mapping[str, Sequence[Withdrawn]]:
        """Return in which generations pools stopped naming a node in a role, by owner, oldest first.

        Of several, the last one tells from when on it was not named; one before it is there where its TTL was longer
        than those that followed, so that caches may still count from it.
        """
        record = self._records.get(node, {}).get(role)
        return {} if record is None else record.withdrawn

    def departure(self, node: str, role: str, *, ttl_before: int | None) -> Departure:
        """Return how a node that no pool names now has left the answers of a role.

        Args:
            ttl_before: seconds; the largest TTL with which an earlier server may have named it; None: none did.
        """
        steady = self._steady()
        record = self._records.get(node, {}).get(role)
        if record is not None and (node, role) in self._waiting:
            return Departure(withdrawn_at=None, max_ttl=record.max_ttl, caches_clear_at=None, seconds_left=None)
        longest = float("-inf") if ttl_before is None else ttl_before + self.slack_seconds
        before = self._begun_at_steady + longest
        if record is not None and (record.clear_at_steady >= before or before <= steady):
            never = record.clear_at_steady == float("-inf")
            return Departure(
                withdrawn_at=record.withdrawn_at,
                max_ttl=record.max_ttl,
                caches_clear_at=record.withdrawn_at if never else record.clear_at,
                seconds_left=max(0.0, record.clear_at_steady - steady),
                last_named_at=record.last_named_at,
            )
        return Departure(
            withdrawn_at=self._begun_at if record is None else record.withdrawn_at,
            max_ttl=ttl_before,
            caches_clear_at=None if ttl_before is None else self._begun_at + longest,
            seconds_left=max(0.0, before - steady),
            last_named_at=None if record is None else record.last_named_at,
        )
