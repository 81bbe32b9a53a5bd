"""Control planes that check nodes over a network that a test has in its hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from dnsd.control.checks.checking import Checks
from dnsd.control.checks.probing import OK, Outcome, Prober
from dnsd.model.check import CheckSpec, CheckType, Probe, Target
from dnsd.model.node import Monitor, Node
from tests.control.rig import ABC, EDGE, Site, settings_of, site_of
from tests.support.fleets import pool
from tests.support.waiting import under_way, until

# As often as may be: a test waits for results, not for time.
PROBE = Probe(type=CheckType.TCP, port=80, interval_seconds=0.01, timeout_seconds=0.01, rise=2, fall=3)
CHECK = CheckSpec(roles=("edge",), probe=PROBE, port=80)
CHECKED = tuple(replace(each, monitor=Monitor.CHECK) for each in ABC)
REFUSED = Outcome("refused", "refused")
OURS = Outcome("not_made", "not tried: no descriptors", counts=False)


class FakeProber(Prober):
    """A network where every address answers as told; at first all do."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, Outcome] = {}
        self.hung: set[str] = set()  # addresses that swallow every packet
        self.answers = asyncio.Event()
        self.tries: Counter[Target] = Counter()
        self.under_way: Counter[Target] = Counter()
        self.most_at_once = 0

    async def probe(self, target: Target) -> Outcome:
        self.under_way[target] += 1
        assert self.under_way[target] == 1, "two tries of one target at once"
        self.most_at_once = max(self.most_at_once, self.under_way.total())
        try:
            await asyncio.sleep(0)
            if target.address in self.hung:
                await self.answers.wait()
        finally:
            self.under_way[target] -= 1
        self.tries[target] += 1
        return self.outcomes.get(target.address, OK)

    def answer_again(self) -> None:
        """Have all addresses answer, those too that are being tried."""
        self.hung.clear()
        self.answers.set()
        self.answers = asyncio.Event()

    def tries_of(self, address: str) -> int:
        return sum(count for target, count in self.tries.items() if target.address == address)

    async def more_of(self, address: str, count: int = 4) -> None:
        """Wait for so many more tries of an address."""
        wanted = self.tries_of(address) + count
        await until(lambda: self.tries_of(address) >= wanted, f"{count} more tries of {address}")


@contextlib.asynccontextmanager
async def checked_site(
    nodes: Iterable[Node] = CHECKED, checks: Sequence[CheckSpec] = (CHECK,), *, network: FakeProber, **options: Any
) -> AsyncIterator[Site]:
    """Run a site's checks over a fake network."""
    site = await site_of(nodes, **{"pools": (pool(),), **options}, checks=tuple(checks))
    plane = site.plane
    plane.checks = Checks(plane.publisher, settings=lambda: plane.settings, prober=network, rng=Random(1))
    plane.publisher.on_nodes = plane.checks.follow
    async with under_way(plane.checks.run()):
        yield site


def healths(site: Site, role: str = "edge") -> dict[str, str]:
    return {info.id: info.roles[role].health for info in site.plane.nodes()}


def answers(site: Site, owner: str = EDGE) -> list[str]:
    return site.plane.pool(owner).answers


def tier(site: Site) -> str:
    return site.plane.pool(EDGE).tier


async def all_are(site: Site, **wanted: str) -> None:
    await until(lambda: healths(site) == wanted, f"{wanted}; it is {healths(site)}")


def reload(site: Site, nodes: Iterable[Node], checks: Sequence[CheckSpec]) -> None:
    site.plane.reload(settings_of(nodes, (pool(),), checks=tuple(checks)))
