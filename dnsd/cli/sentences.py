"""How drains and their progress are told in sentences, for every command that speaks of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dnsd.cli.output import absolute, milliseconds
from dnsd.model.drain import ALL_ROLES

if TYPE_CHECKING:
    from dnsd.api.schemas import AppliedBy, DrainInfo, DrainOutcome, Impact, PendingAt, RampInfo


def roles_of(roles: Sequence[str]) -> str:
    """Name the roles of a drain: `role edge`, `roles edge, ingest` or `all roles`."""
    if ALL_ROLES in roles:
        return "all roles"
    return f"{'role' if len(roles) == 1 else 'roles'} {', '.join(roles)}"


def drain_terms(drain: DrainInfo) -> str:
    """Tell what a drain orders, for whom and how long."""
    start = f"from {absolute(drain.starts_at)} " if drain.state == "scheduled" else ""
    end = "indefinitely" if drain.expires_at is None else f"until {absolute(drain.expires_at)}"
    return f"{drain.mode} for {roles_of(drain.roles)} (holder {drain.holder}), {start}{end}"


def placed(outcome: DrainOutcome, *, node: str) -> Iterator[str]:
    """Tell what became of an order to drain, line by line."""
    yield f"{node}: {drain_terms(outcome.drain)}" if outcome.drain else f"{node}: no drain"
    yield from _course(outcome)


def released(outcome: DrainOutcome, *, node: str) -> Iterator[str]:
    """Tell what an order to release has released, line by line; `none_released` tells of one that had nothing to."""
    for drain in outcome.released or ([outcome.drain] if outcome.drain else []):
        if drain.mode == "normal":
            yield f"{node}: its ramp for {roles_of(drain.roles)} (holder {drain.holder}) is ended"
        else:
            yield f"{node}: released, was {drain_terms(drain)}"
    if outcome.ramp is not None:
        yield f"  {ramping(outcome.ramp)}"
    yield from _course(outcome)


def none_released(
    outcome: DrainOutcome, standing: Sequence[DrainInfo], *, node: str, roles: Sequence[str], holder: str | None
) -> Iterator[str]:
    """Tell that there was nothing to release, and what keeps the node out nonetheless, line by line.

    Args:
        standing: the drains of the node on the roles in question.
        roles: those of the order; none: all.
        holder: whose drains were to be released; None: the caller's.
    """
    about = f" for {roles_of(roles)}" if roles else ""
    if not standing:
        yield f"{node} is not drained{about}"
    else:
        mine = "you hold" if holder is None else f"{holder} holds"
        others = sorted({drain.holder for drain in standing})
        to_come = all(drain.state == "scheduled" for drain in standing)
        yield f"{node} is {'to be' if to_come else 'still'} drained{about} by {', '.join(others)}; {mine} no such drain"
        for drain in standing:
            yield f"  {drain_terms(drain)}; {drain.reason}"
        for other in others:
            yield f"  release theirs with `dnsd undrain {node} --holder {other}`"
    if outcome.ramp is not None:
        yield f"  {ramping(outcome.ramp)}"
    yield from applied_and_pending((), outcome.pending)


def ramping(ramp: RampInfo) -> str:
    """Tell how far a node has come back."""
    return f"ramp: {ramp.percent} % of its part in answers, all of it from {absolute(ramp.ends_at)} on"


def _course(outcome: DrainOutcome) -> Iterator[str]:
    if outcome.dry_run:
        yield "  dry run: nothing was written"
    elif not outcome.changed:
        yield "  nothing changed: it stood like this before"
    width = max((len(row.pool) for row in outcome.impact), default=0)
    for row in outcome.impact:
        yield f"  pool {row.pool:<{width}}  {_serving(row)}"
    yield from applied_and_pending(outcome.applied, outcome.pending, already=not outcome.changed)


def _serving(row: Impact) -> str:
    verdict = "ok" if row.ok else "not kept"
    instant = "" if row.at is None else f"at {absolute(row.at)} "
    # Of a pool that serves nothing either way, the answers are what changes.
    empty = ", answers become empty" if row.empties else ""
    return f"{instant}serving {row.serving_before} → {row.serving_after}{empty}  (floor {row.floor}: {verdict})"


def applied_and_pending(
    applied: Sequence[AppliedBy], pending: Sequence[PendingAt], *, already: bool = False
) -> Iterator[str]:
    """Tell who has applied the change and who has not, line by line.

    Args:
        already: nothing changed now, so that every lag is one of long ago and is left out.
    """
    for consumer in applied:
        if already:
            yield f"  already applied by {consumer.consumer} ({consumer.kind})"
            continue
        after = "" if consumer.lag_ms is None else f" after {milliseconds(consumer.lag_ms)}"
        yield f"  applied by {consumer.consumer} ({consumer.kind}){after}"
    for late in pending:
        yield f"  pending at {late.consumer} ({late.kind}), which has revision {late.applied_revision}"
