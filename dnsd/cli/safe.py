"""`dnsd drain --wait safe`: the course of a wait, from an accepted drain to an exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from dnsd.cli.failures import ExitStatus
from dnsd.cli.output import clean, complain
from dnsd.cli.sentences import applied_and_pending, placed, roles_of
from dnsd.cli.waiting import STATUS_TIMEOUT_SECONDS, Ending, Result, Waiting, Watched
from dnsd.cli.waiting_display import display
from dnsd.model.times import format_duration

if TYPE_CHECKING:
    from dnsd.api.client import Client
    from dnsd.api.schemas import DrainOutcome
    from dnsd.cli.connection import Connection


def wait_until_safe(connection: Connection, outcome: DrainOutcome, *, node: str, timeout_seconds: float | None) -> None:
    """Wait until the roles of an accepted drain are safe to stop, show the progress, and end with what came of it.

    Args:
        outcome: the server's answer to the order.
        timeout_seconds: how long at most; None: as long as the drain stands.
    """
    watched = Watched.of(outcome, node=node)
    release = f"release it with `dnsd undrain {node} --holder {watched.holder}`"
    if not connection.as_json:
        # Who has applied it is told as it goes on.
        for line in placed(outcome.model_copy(update={"applied": [], "pending": []}), node=node):
            click.echo(clean(line))

    async def wait(client: Client) -> Result:
        with display(watched, as_json=connection.as_json, terminal=sys.stdout.isatty()) as shown:
            return await Waiting(client, watched, shown, timeout_seconds=timeout_seconds).run()

    try:
        result = connection.ask(wait, timeout_seconds=STATUS_TIMEOUT_SECONDS)
    except KeyboardInterrupt:
        complain(f"interrupted; the drain of {node} stands: {release}")
        raise
    except Exception:
        complain(f"the wait failed; the drain of {node} stands: {release}")
        raise
    _finish(connection, outcome, result, watched)


def _finish(connection: Connection, outcome: DrainOutcome, result: Result, watched: Watched) -> None:
    safe = result.ending is Ending.SAFE
    if connection.as_json:
        click.echo(json.dumps(_document(outcome, result), indent=2, ensure_ascii=False))
    elif safe:
        for line in _safe_lines(result, watched):
            click.echo(clean(line))
    if safe:
        return
    waited = format_duration(result.seconds)
    if result.ending is Ending.DRAIN_ENDED:
        complain(f"the drain of {watched.node} was released or has expired after {waited}: it will not become safe")
        click.get_current_context().exit(ExitStatus.FAILED)
    complain(f"timed out after {waited}: the drain of {watched.node} stands, and it is not safe to stop yet")
    if result.status is None:
        click.echo("  its status could not be asked for", err=True)
    else:
        for blocker in watched.blockers(result.status):
            click.echo(clean(f"  blocked: {blocker}"), err=True)
    click.get_current_context().exit(ExitStatus.TIMED_OUT)


def _document(outcome: DrainOutcome, result: Result) -> dict[str, object]:
    """Return the drain's outcome with how the wait ended and the last status beside it."""
    status = None if result.status is None else result.status.model_dump(mode="json", exclude_unset=True)
    return {
        **outcome.model_dump(mode="json", exclude_unset=True),
        "safe": result.ending is Ending.SAFE,
        "ending": result.ending.value,
        "waited": round(result.seconds, 3),
        "status": status,
    }


def _safe_lines(result: Result, watched: Watched) -> Iterator[str]:
    status = result.status
    if status is None:
        raise AssertionError("nothing is safe before it was asked for")
    about = "" if watched.whole() else f" in {roles_of(watched.roles)}"
    first = next(iter(watched.roles_in(status).values()), None)
    if first is not None:
        yield from applied_and_pending(first.applied, first.pending)
    yield f"{watched.node}: safe to stop{about}, after {format_duration(result.seconds)}"
    if not status.safe_to_stop:
        yield "  but not the whole node:"
        yield from (f"  blocked: {blocker}" for blocker in status.blockers)
    yield from (f"  caveat: {caveat}" for caveat in status.caveats)
