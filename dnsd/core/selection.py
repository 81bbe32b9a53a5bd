"""Which nodes a pool answers from: the tiers of fail-open, and never a node in maintenance.

    serving nodes                       mode normal, known to be up, weight above 0
      else all undrained nodes          every one of them unhealthy: an answer that may work beats none
      else the pool's `when_empty`      nodata | servfail | draining | another pool

A pool without an answer is NODATA, never NXDOMAIN: the name exists.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from dnsd.model.drain import Mode
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec, WhenEmpty
from dnsd.model.report import Health

# Every member of a pool is in one of them; unweighted: its weight is 0.
MEMBER_STATES = ("serving", "drained", "unhealthy", "unweighted")


class Tier(enum.Enum):
    """Where a pool's answers come from."""

    SERVING = "serving"
    UNHEALTHY = "unhealthy"  # fail open: every undrained node is unhealthy
    DRAINING = "draining"  # `when_empty = "draining"`
    POOL = "pool"  # `when_empty = "pool:…"`
    NODATA = "nodata"
    SERVFAIL = "servfail"

    @property
    def fails_open(self) -> bool:
        """Say whether it is a fallback that still names nodes."""
        return self in (Tier.UNHEALTHY, Tier.DRAINING, Tier.POOL)


@dataclass(frozen=True, slots=True)
class Member:
    """A node in a pool, and what is in force for it there.

    Args:
        mode: the strongest active drain for the pool's role.
        health: in the pool's role.
        share_cap: 0 to 1: the most of the pool's answers that may hold it; less than 1 while it comes back by a ramp.
        ahead: the instants, rising, at which drains that are placed already will change the mode, with what it becomes.
    """

    node: Node
    mode: Mode
    health: Health
    share_cap: float = 1.0
    ahead: tuple[tuple[float, Mode], ...] = ()

    def at(self, instant: float) -> Member:
        """Return it as it will be, if nothing but its mode changes."""
        mode = self.mode
        for when, becomes in self.ahead:
            if when > instant:
                break
            mode = becomes
        return self if mode is self.mode else replace(self, mode=mode)

    @property
    def serving(self) -> bool:
        """Say whether it belongs to the first tier."""
        return self.mode is Mode.NORMAL and self.health.serves and self.node.weight > 0

    @property
    def state(self) -> str:
        """The one of `MEMBER_STATES` that it is in."""
        if self.mode is not Mode.NORMAL:
            return "drained"
        if not self.health.serves:
            return "unhealthy"
        return "serving" if self.serving else "unweighted"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it does not serve, in plain words; empty where it does."""
        reasons = []
        if self.mode is not Mode.NORMAL:
            reasons.append(f"drained: {self.mode.text}")
        if not self.health.serves:
            reasons.append(f"health: {self.health.value}")
        if self.node.weight == 0:
            reasons.append("weight 0")
        return tuple(reasons)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a pool answers from.

    Args:
        members: the nodes whose addresses are answered; empty for NODATA and SERVFAIL.
        source: the pool that they are members of: the pool itself, or the one it falls back to.
    """

    tier: Tier
    members: tuple[Member, ...]
    source: PoolSpec


def select(spec: PoolSpec, members: Iterable[Member], *, fallback: Callable[[str], Selection]) -> Selection:
    """Choose the tier of a pool.

    Args:
        members: every node that the pool matches, drained or not.
        fallback: gives the selection of another pool by its owner; called only where this pool needs it.
    """
    candidates = [member for member in members if member.node.weight > 0]
    undrained = [member for member in candidates if member.mode is Mode.NORMAL]
    if undrained:
        serving = tuple(member for member in undrained if member.health.serves)
        if serving:
            return Selection(Tier.SERVING, serving, spec)
        return Selection(Tier.UNHEALTHY, tuple(undrained), spec)
    if spec.when_empty is WhenEmpty.SERVFAIL:
        return Selection(Tier.SERVFAIL, (), spec)
    if spec.when_empty is WhenEmpty.DRAINING:
        draining = [member for member in candidates if member.mode is Mode.DRAINING]
        if draining:
            healthy = [member for member in draining if member.health.serves]
            return Selection(Tier.DRAINING, tuple(healthy or draining), spec)
    if spec.when_empty is WhenEmpty.POOL and spec.fallback is not None:
        other = fallback(spec.fallback)
        return Selection(Tier.POOL, other.members, other.source) if other.members else Selection(other.tier, (), spec)
    return Selection(Tier.NODATA, (), spec)


def floor_margin(spec: PoolSpec, members: Iterable[Member]) -> int:
    """Return how many more nodes a pool can lose before it breaks its floor, whichever they are: the heaviest first.

    Below 0: it is broken, and lacks so many nodes; one, where the floor is a share.
    """
    everyone = tuple(members)
    weights = sorted(member.node.weight for member in everyone if member.serving)
    if spec.floor.share is None:
        return len(weights) - spec.floor.count
    total, left = sum(member.node.weight for member in everyone), sum(weights)
    margin = -1
    # One at a time, the lightest left for last: the floor itself says whether it holds.
    while spec.floor.holds(serving=len(weights), serving_weight=left, total_weight=total):
        margin += 1
        if not weights:
            break
        left -= weights.pop()
    return margin


def holds_floor(spec: PoolSpec, members: Iterable[Member]) -> bool:
    """Say whether a pool serves at least its floor."""
    everyone = tuple(members)
    serving = [member for member in everyone if member.serving]
    return spec.floor.holds(
        serving=len(serving),
        serving_weight=sum(member.node.weight for member in serving),
        total_weight=sum(member.node.weight for member in everyone),
    )
