"""How drains and their progress are told in sentences, for every command that speaks of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dnsd.cli.output import absolute, milliseconds
from dnsd.model.drain import ALL_ROLES

if TYPE_CHECKING:
    from dnsd.api.schemas import AppliedBy, DrainInfo, DrainOutcome, Impact, PendingAt


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
    yield from _course(outcome, unchanged="it stood like this before")


def released(outcome: DrainOutcome, *, node: str) -> Iterator[str]:
    """Tell what became of an order to release, line by line."""
    gone = outcome.released or ([outcome.drain] if outcome.drain else [])
    for drain in gone:
        yield f"{node}: released, was {drain_terms(drain)}"
    if not gone:
        yield f"{node}: no such drain to release"
    yield from _course(outcome, unchanged="there was nothing to release")


def _course(outcome: DrainOutcome, *, unchanged: str) -> Iterator[str]:
    if outcome.dry_run:
        yield "  dry run: nothing was written"
    elif not outcome.changed:
        yield f"  nothing changed: {unchanged}"
    width = max((len(row.pool) for row in outcome.impact), default=0)
    for row in outcome.impact:
        yield f"  pool {row.pool:<{width}}  {_serving(row)}"
    yield from applied_and_pending(outcome.applied, outcome.pending)


def _serving(row: Impact) -> str:
    verdict = "ok" if row.ok else "not kept"
    return f"serving {row.serving_before} → {row.serving_after}  (floor {row.floor}: {verdict})"


def applied_and_pending(applied: Sequence[AppliedBy], pending: Sequence[PendingAt]) -> Iterator[str]:
    """Tell who has applied the change and who has not, line by line."""
    for consumer in applied:
        after = "" if consumer.lag_ms is None else f" after {milliseconds(consumer.lag_ms)}"
        yield f"  applied by {consumer.consumer} ({consumer.kind}){after}"
    for late in pending:
        yield f"  pending at {late.consumer} ({late.kind}), which has revision {late.applied_revision}"
