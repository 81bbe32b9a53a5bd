"""When a pool's answers will become others by drains alone: from what is placed already, and health as it is now.

It evaluates the same selection that answers are made from, at the instants at which a member's mode changes. A drain
that changes no answer, because another one or a fallback keeps it as it is, is not seen here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from dnsd.core.compile import contents
from dnsd.core.selection import Member, Selection, Tier, select
from dnsd.model.drain import Drain, Mode, effective_mode
from dnsd.model.pool import PoolSpec, WhenEmpty


def modes_ahead(drains: Iterable[Drain], *, role: str, now: float) -> tuple[tuple[float, Mode], ...]:
    """Return the instants after `now` at which the mode of a node in a role changes, rising, each with what it becomes.

    Args:
        drains: those of one node.
    """
    covering = [drain for drain in drains if drain.covers(role)]
    instants = {instant for drain in covering for instant in (drain.starts_at, drain.expires_at) if instant is not None}
    ahead = []
    mode = effective_mode(covering, role=role, now=now)
    for instant in sorted(instant for instant in instants if instant > now):
        becomes = effective_mode(covering, role=role, now=instant)
        if becomes is not mode:
            ahead.append((instant, becomes))
            mode = becomes
    return tuple(ahead)


def first_changes(
    spec: PoolSpec, pools: Mapping[str, PoolSpec], members_of: Callable[[str], Iterable[Member]]
) -> dict[int, float] | None:
    """Return when the records that a pool answers with will first be others, by type; None: never, as far as known.

    Its cost is that of one selection for each instant, up to the first ones that change something; where no member has
    an instant ahead, nothing but a look at each.

    Args:
        pools: by owner.
        members_of: gives the nodes that a pool matches, by its owner.
    """
    chain = {owner: tuple(members_of(owner)) for owner in _with_fallbacks(spec, pools)}
    instants = sorted({instant for members in chain.values() for each in members for instant, _ in each.ahead})
    if not instants:
        return None

    def selection_at(instant: float) -> Selection:
        def selection_of(owner: str) -> Selection:
            return select(pools[owner], (each.at(instant) for each in chain[owner]), fallback=selection_of)

        return selection_of(spec.owner)

    # While healthy nodes serve, only these come and go.
    of_healthy = {instant for each in chain[spec.owner] if each.health.serves for instant, _ in each.ahead}
    everyone = tuple(each for members in chain.values() for each in members)
    awaited = set(contents(spec, Selection(Tier.SERVING, everyone, spec)))
    selection = selection_at(float("-inf"))
    present = contents(spec, selection)
    changes: dict[int, float] = {}
    for instant in instants:
        if selection.tier is Tier.SERVING and instant not in of_healthy:
            continue
        selection = selection_at(instant)
        then = contents(spec, selection)
        for rdtype in tuple(awaited):
            if then.get(rdtype) != present.get(rdtype):
                changes[rdtype] = instant
                awaited.discard(rdtype)
        if not awaited:
            break
    return changes or None


def _with_fallbacks(spec: PoolSpec, pools: Mapping[str, PoolSpec]) -> Iterable[str]:
    """Yield the owners of a pool, of the one that it falls back to, and so on."""
    while True:
        yield spec.owner
        if spec.when_empty is not WhenEmpty.POOL or spec.fallback is None:
            return
        spec = pools[spec.fallback]
