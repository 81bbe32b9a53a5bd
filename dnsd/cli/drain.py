"""`dnsd drain` and `dnsd undrain`: the two commands that change what a fleet serves."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import click

from dnsd.api.errors import NoAnswerInTime, ServerUnreachable
from dnsd.cli.connection import (
    DURATION,
    INSTANT,
    NODE,
    TEXT,
    Connection,
    for_option,
    indefinite_option,
    mode_option,
    reason_option,
    refuse_together,
    roles_option,
    talks_to_server,
)
from dnsd.cli.failures import ExitStatus
from dnsd.cli.output import clean, complain, show_json
from dnsd.cli.requests import request_of
from dnsd.cli.sentences import none_released, placed, released
from dnsd.errors import DnsdError
from dnsd.model.drain import ALL_ROLES

if TYPE_CHECKING:
    from dnsd.api.client import Client
    from dnsd.api.schemas import DrainOutcome, DrainRequest

# With --wait and without --timeout. Unit: seconds.
DEFAULT_WAIT_SECONDS = 30.0

wait_option = click.option(
    "--wait", type=click.Choice(["applied"]), help="Return only when every consumer has applied it."
)
wait_or_safe_option = click.option(
    "--wait",
    type=click.Choice(["applied", "safe"]),
    help="Return only when every consumer has applied it, or when the drained roles are safe to stop.",
)
timeout_option = click.option(
    "--timeout",
    type=DURATION,
    help=f"How long to wait at most, as 30s; with --wait applied for the consumers (without this option "
    f"{DEFAULT_WAIT_SECONDS:.0f}s; no answer a second later is exit status 4), with --wait safe for the node "
    "(without: as long as the drain stands), else for the answer.",
)


@click.command(
    epilog="""\b
Examples:
  dnsd drain edge-1 --role edge --reason "kernel update"
  dnsd drain edge-1 --reason "disk" --mode maintenance --for 90m --wait applied
  dnsd drain edge-1 --reason "rack move" --at 2026-01-31T16:00:00Z --until 2026-01-31T20:00:00Z
  dnsd drain edge-1 --reason "what if" --dry-run
  dnsd drain edge-1 --reason "reboot" --wait safe --timeout 2h && ssh edge-1 reboot

--wait safe follows the drain through its start, until consumers have applied it,
caches have run out and sessions have ended, as far as these are known. It ends
with 1 when the drain is released or expires before.

Exit status 4: the time of --wait is over. Where the server answered, the drain
stands; where it gave no answer, the drain may stand, as `dnsd drains` tells.
Interrupted with Ctrl-C, a drain that the server has accepted stands."""
)
@click.argument("node", type=NODE)
@roles_option
@mode_option
@for_option
@click.option("--until", "until", type=INSTANT, help="Until then, as 2026-01-31T16:00:00Z.")
@indefinite_option
@click.option("--at", "starts_at", type=INSTANT, help="From then on, as 2026-01-31T12:00:00Z. Default: now.")
@reason_option
@click.option("--holder", type=TEXT, metavar="HOLDER", help="Whose drain it is. Default: your name.")
@click.option("--dry-run", is_flag=True, help="Say what would happen and write nothing; --wait has no effect.")
@click.option("--force", is_flag=True, help="Place it even where a pool falls below its floor.")
@wait_or_safe_option
@timeout_option
@talks_to_server
def drain(
    connection: Connection,
    *,
    node: str,
    roles: tuple[str, ...],
    mode: str,
    for_seconds: float | None,
    until: float | None,
    indefinite: bool,
    starts_at: float | None,
    reason: str,
    holder: str | None,
    dry_run: bool,
    force: bool,
    wait: str | None,
    timeout: float | None,
) -> None:
    """Take NODE out of the pools of its roles; its own names go on resolving."""
    refuse_together({"--for": for_seconds is not None, "--until": until is not None, "--indefinite": indefinite})
    from dnsd.api.schemas import DrainRequest

    request = request_of(
        DrainRequest,
        roles=list(roles) or None,
        mode=mode,
        reason=reason,
        holder=holder,
        expires_in=for_seconds,
        expires_at=until,
        indefinite=indefinite,
        starts_at=starts_at,
        force=force,
        dry_run=dry_run,
    )
    _place(connection, node, request, wait=None if dry_run else wait, timeout_seconds=timeout)


def _place(
    connection: Connection, node: str, request: DrainRequest, *, wait: str | None, timeout_seconds: float | None
) -> None:
    """Place a drain, wait for what is to be waited for, and tell what became of it."""
    until_safe = wait == "safe"
    wait_seconds = _wait_seconds(wait, timeout_seconds) if wait == "applied" else None
    first_seconds = _first_seconds(connection, wait_seconds)
    began = time.monotonic()
    outcome = _write(
        connection,
        lambda client: client.place_drain(node, request, wait_seconds=first_seconds),
        timeout_seconds=timeout_seconds,
        wait_seconds=timeout_seconds if until_safe else wait_seconds,
        doubt=f"the drain of {node} may stand: see `dnsd drains`, release it with "
        f"`dnsd undrain {node}{'' if request.holder is None else f' --holder {request.holder}'}`",
    )
    if until_safe:
        from dnsd.cli.safe import wait_until_safe

        left = None if timeout_seconds is None else timeout_seconds - (time.monotonic() - began)
        wait_until_safe(connection, outcome, node=node, timeout_seconds=left)
        return
    outcome = _follow(connection, outcome, first_seconds=first_seconds, wait_seconds=wait_seconds, node=node)
    _finish(connection, outcome, lines=placed(outcome, node=node), wait_seconds=wait_seconds, what="the drain stands")


@click.command(
    epilog="""\b
Examples:
  dnsd undrain edge-1
  dnsd undrain edge-1 --ramp 5m
  dnsd undrain edge-1 --role edge --holder os-update --wait applied"""
)
@click.argument("node", type=NODE)
@roles_option
@click.option("--holder", type=TEXT, metavar="HOLDER", help="Release this holder's drains. Default: your own.")
@click.option("--all-holders", is_flag=True, help="Release everybody's drains.")
@click.option(
    "--ramp", type=DURATION, help="Come back in steps, from a tenth of its part in answers to all of it, over so long."
)
@wait_option
@timeout_option
@talks_to_server
def undrain(
    connection: Connection,
    *,
    node: str,
    roles: tuple[str, ...],
    holder: str | None,
    all_holders: bool,
    ramp: float | None,
    wait: str | None,
    timeout: float | None,
) -> None:
    """Release your drains of NODE, so that it serves again unless somebody else holds it."""
    refuse_together({"--holder": holder is not None, "--all-holders": all_holders})
    from dnsd.api.schemas import ReleaseRequest

    request = request_of(ReleaseRequest, roles=list(roles) or None, holder=holder, all_holders=all_holders, ramp=ramp)
    wait_seconds = _wait_seconds(wait, timeout)
    outcome = _write(
        connection,
        lambda client: client.release_drain(node, request, wait_seconds=wait_seconds),
        timeout_seconds=timeout,
        wait_seconds=wait_seconds,
        doubt=f"the server may have released the drain of {node}: see `dnsd drains`",
    )
    if outcome.changed or connection.as_json:
        lines = released(outcome, node=node)
    else:
        lines = _none_released(connection, outcome, node=node, roles=roles, holder=holder)
    _finish(connection, outcome, lines=lines, wait_seconds=wait_seconds, what="it is released")


def _none_released(
    connection: Connection, outcome: DrainOutcome, *, node: str, roles: tuple[str, ...], holder: str | None
) -> Iterator[str]:
    """Tell what became of a release that released nothing: a caller who expects the node back must not be misled."""
    try:
        page = connection.ask(lambda client: client.drains())
    except DnsdError as error:
        # The release itself is done, as far as there was one; only the look at others' drains failed.
        complain(f"{node}: there was nothing to release; whether others drain it is not known: {error}")
        return iter(())
    standing = [
        drain
        for drain in page.items
        if drain.node.lower() == node.lower()
        and drain.state in ("scheduled", "active")
        and (not roles or {ALL_ROLES, *roles} & set(drain.roles))
    ]
    return none_released(outcome, standing, node=node, roles=roles, holder=holder)


def _wait_seconds(wait: str | None, timeout_seconds: float | None) -> float | None:
    if wait is None:
        return None
    return DEFAULT_WAIT_SECONDS if timeout_seconds is None else timeout_seconds


def _first_seconds(connection: Connection, wait_seconds: float | None) -> float | None:
    """Return what the write itself is to wait: on a terminal not long, so that the rest can be watched."""
    if wait_seconds is None or connection.as_json or not sys.stdout.isatty():
        return wait_seconds
    from dnsd.cli.applying import FIRST_LOOK_SECONDS

    return min(wait_seconds, FIRST_LOOK_SECONDS)


def _follow(
    connection: Connection,
    outcome: DrainOutcome,
    *,
    first_seconds: float | None,
    wait_seconds: float | None,
    node: str,
) -> DrainOutcome:
    """Watch the rest of a wait whose write came back before its end."""
    if first_seconds is None or wait_seconds is None or first_seconds >= wait_seconds or not outcome.pending:
        return outcome
    from dnsd.cli.applying import follow_applied

    stands = f"the drain of {node} stands: release it with `dnsd undrain {node}`"
    return follow_applied(connection, outcome, wait_seconds=wait_seconds - first_seconds, stands=stands)


def _write(
    connection: Connection,
    work: Callable[[Client], Awaitable[DrainOutcome]],
    *,
    timeout_seconds: float | None,
    wait_seconds: float | None,
    doubt: str,
) -> DrainOutcome:
    """Send a write; where its answer never came, say that it may stand nonetheless.

    Args:
        wait_seconds: of --wait, whose end is an exit status of its own; None: without.
        doubt: the sentence that says so.
    """
    try:
        return connection.ask(work, timeout_seconds=timeout_seconds)
    except KeyboardInterrupt:
        complain(f"interrupted; {doubt}")
        raise
    except ServerUnreachable as error:
        if wait_seconds is not None and isinstance(error, NoAnswerInTime):
            complain(f"timed out: {error.server} gave no answer in time; {doubt}")
            click.get_current_context().exit(ExitStatus.TIMED_OUT)
        if error.sent:
            complain(doubt)
        raise


def _finish(
    connection: Connection, outcome: DrainOutcome, *, lines: Iterable[str], wait_seconds: float | None, what: str
) -> None:
    if connection.as_json:
        show_json(outcome)
    else:
        for line in lines:
            click.echo(clean(line))
    if wait_seconds is not None and outcome.pending:
        late = ", ".join(f"{consumer.consumer} ({consumer.kind})" for consumer in outcome.pending)
        complain(f"timed out: {what}, and not all have applied revision {outcome.revision}; pending: {late}")
        click.get_current_context().exit(ExitStatus.TIMED_OUT)
