"""The server's own checks: tries targets when they are due, and tells the publisher of what nodes became by it.

It owns what is known of every target, and how many tries are under way. What a reload leaves as it is keeps what is
known of it. It knows no store: each server finds out for itself, and goes on while the store is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from dnsd.config.settings import Settings
from dnsd.control.checks.assignment import Assignment
from dnsd.control.checks.judging import Standing, judge
from dnsd.control.checks.probing import Outcome, Prober
from dnsd.control.checks.schedule import Schedule
from dnsd.control.checks.slots import Slots
from dnsd.control.publisher import Publisher
from dnsd.model.check import Checked, Target
from dnsd.model.report import Health

log = logging.getLogger(__name__)

# Tries under way at once, each with a descriptor, of which a process has 1024 where nobody raised it. With the usual
# time-out of 2 s, 128 addresses that swallow every packet are gone through in a second. Unit: tries.
MAX_AT_ONCE = 256

# What comes in within this time is published together: when a site is lost, its pools are not compiled for each of its
# nodes. Unit: seconds.
GATHER_SECONDS = 0.05

# How long the first results of new targets wait for one another, so that no pool is answered from the one node whose
# result came first: the spread of first tries, and the usual time-out. Unit: seconds.
FIRST_ROUND_SECONDS = 3.0

# The most targets that one look names in the log. Unit: targets.
MAX_LINES = 10


@dataclass(slots=True)
class _Round:
    """The first tries of targets that came together.

    Args:
        nodes: those whose health waits for it.
        ends: instant on the loop's clock at which nobody waits any more.
    """

    ends: float
    left: set[Target] = field(default_factory=set)
    nodes: set[str] = field(default_factory=set)


class Checks:
    """Active checks of one server.

    Args:
        settings: gives the present settings, which a reload replaces.
        prober: makes one try; None: over the network.

    Attributes:
        on_told: told of the nodes of which the publisher was told.
        counts: (type, result) → tries since the start.
        lag_seconds: how much later than it was due the last try began.
    """

    def __init__(
        self,
        publisher: Publisher,
        *,
        settings: Callable[[], Settings],
        prober: Prober | None = None,
        rng: Random | None = None,
    ) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.lag_seconds = 0.0
        self.on_told: Callable[[Collection[str]], None] = lambda nodes: None
        self._publisher = publisher
        self._settings = settings
        self._prober = prober or Prober()
        self._assignment = Assignment()
        self._standings: dict[Target, Standing] = {}
        self._schedule = Schedule(rng or Random())
        self._first = _Round(ends=0.0)
        self._touched: set[str] = set()  # nodes of which there is something to tell
        self._turned: list[tuple[int, str]] = []  # levels and lines for the log
        self._under_way = 0
        self._slots = Slots()
        self._asleep_until: float | None = None
        self._woken = asyncio.Event()
        self._news = asyncio.Event()
        self._running = False

    # --- who is checked -----------------------------------------------------------------------------------------

    def follow(self, nodes: Collection[str] | None = None) -> None:
        """Take nodes as the fleet has them now.

        Args:
            nodes: those that are new, changed or gone; None: any may be, and the checks too.
        """
        if not self._running:
            return  # all are taken when it begins
        fleet, settings = self._publisher.fleet, self._settings()
        keys = {*fleet.nodes, *self._assignment.nodes} if nodes is None else nodes
        now = asyncio.get_running_loop().time()
        new: set[Target] = set()
        gone: set[Target] = set()
        for key in keys:
            had = bool(self._assignment.of(key))
            came, went = self._assignment.put(key, fleet.nodes.get(key), settings.checks, local=settings.check_local)
            new |= came
            gone |= went
            if had or self._assignment.of(key):
                self._touched.add(key)
        # One that one node left and another took up in the same step stays as it is.
        for target in gone - new:
            del self._standings[target]
            self._schedule.remove(target)
            self._first.left.discard(target)
        for key in keys:
            for target, due in self._slots.let_go(key):
                self._schedule.put_back(target, due=due)
        self._begin_round(new - gone, now)
        for target in new - gone:
            self._standings[target] = Standing(target)
            self._schedule.add(target, now=now)
        self._woken.set()
        self._news.set()

    def _begin_round(self, targets: Iterable[Target], now: float) -> None:
        found = set(targets)
        if not found:
            return
        if not self._first.left:
            self._first = _Round(now + FIRST_ROUND_SECONDS)
        self._first.left |= found
        self._first.nodes |= {node for target in found for node in self._assignment.users(target)}

    @property
    def is_settled(self) -> bool:
        """Say whether the first tries since the last new targets are over, and the publisher knows what they found."""
        is_over = asyncio.get_running_loop().time() >= self._first.ends + 2 * GATHER_SECONDS
        return self._running and (is_over or not (self._first.left or self._touched))

    def states(self) -> Mapping[str, int]:
        """Return how many targets are up, down and not known yet."""
        counts = {health.value: 0 for health in (Health.UP, Health.DOWN, Health.UNKNOWN)}
        for standing in self._standings.values():
            counts[standing.verdict.health.value] += 1
        return counts

    # --- trying -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Check until cancelled."""
        self._running = True
        self.follow()
        async with self._prober, asyncio.TaskGroup() as group:
            group.create_task(self._tell_again_and_again())
            while True:
                self._woken.clear()
                self._begin_due(group)
                await self._wait()

    def _begin_due(self, group: asyncio.TaskGroup) -> None:
        now = asyncio.get_running_loop().time()
        while self._under_way < MAX_AT_ONCE and (taken := self._schedule.take(now)) is not None:
            target, due = taken
            node = self._slots.take(target, self._assignment.users(target), due=due)
            if node is None:
                continue
            self.lag_seconds = now - due
            self._under_way += 1
            group.create_task(self._try(self._standings[target], node, began=now))

    async def _wait(self) -> None:
        """Sleep until a target is due and may be tried."""
        due = self._asleep_until = self._schedule.next_due if self._under_way < MAX_AT_ONCE else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._woken.wait()

    def _wake_where_needed(self) -> None:
        due, asleep = self._schedule.next_due, self._asleep_until
        if due is not None and (asleep is None or due < asleep):
            self._woken.set()

    async def _try(self, standing: Standing, node: str, *, began: float) -> None:
        target = standing.target
        outcome = await self._prober.probe(target)
        self._under_way -= 1
        held = self._slots.give_back(node)
        if held is not None:
            self._schedule.put_back(held[0], due=held[1])
        self.counts[target.probe.type.value, outcome.result] += 1
        if self._standings.get(target) is standing:  # else it was removed meanwhile
            self._schedule.tried(target, began=began)
            self._take(standing, outcome)
        self._wake_where_needed()

    def _take(self, standing: Standing, outcome: Outcome) -> None:
        target, before = standing.target, standing.verdict
        self._first.left.discard(target)
        if outcome.ok and before.health is Health.UP and not before.failures and standing.last == outcome:
            return  # as nearly all are: there is nothing to count and nothing to tell
        said = standing.text
        standing.last = outcome
        if outcome.counts:
            probe = target.probe
            standing.verdict = before.after(outcome.ok, rise=probe.rise, fall=probe.fall)
        if standing.text != said or standing.verdict.health is not before.health:
            self._touched.update(self._assignment.users(target))
            self._news.set()
        if standing.verdict.health is not before.health and before.health is not Health.UNKNOWN:
            level = logging.WARNING if standing.verdict.health is Health.DOWN else logging.INFO
            self._turned.append((level, f"{standing.text}, and is {standing.verdict.health.value}"))

    # --- telling ------------------------------------------------------------------------------------------------

    async def _tell_again_and_again(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await asyncio.sleep(GATHER_SECONDS)
            self.tell()
            if self._touched:  # they wait for the first results of others
                self._news.set()

    def tell(self) -> None:
        """Publish what has come in, but for nodes that wait for their first results."""
        if self._turned:
            turned, self._turned = self._turned, []
            for level, line in turned[:MAX_LINES]:
                log.log(level, "%s", line)
            if len(turned) > MAX_LINES:
                log.warning("and %d more checks that turned at the same time", len(turned) - MAX_LINES)
        if not self._touched:
            return
        waiting: Collection[str] = ()
        if self._first.left and asyncio.get_running_loop().time() < self._first.ends:
            waiting = self._first.nodes
        told = {node: self._of(node) for node in self._touched if node not in waiting}
        self._touched -= told.keys()
        if told:
            self._publisher.checked(told)
            self.on_told(told.keys())

    def _of(self, node: str) -> dict[str, Checked]:
        before = self._publisher.fleet.checks_of(node)
        return {
            role: judge(
                role,
                [self._standings[target] for target in targets],
                before=before[role].health if role in before else Health.UNKNOWN,
                barred=self._assignment.barred(node, role),
            )
            for role, targets in self._assignment.of(node).items()
        }
