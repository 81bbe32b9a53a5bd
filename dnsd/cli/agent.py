"""`dnsd agent`: runs the agent of a node, and speaks to the one that runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnsd.cli.connection import (
    DURATION,
    for_option,
    indefinite_option,
    json_option,
    mode_option,
    reason_option,
    roles_option,
)
from dnsd.cli.failures import ExitStatus, check_document
from dnsd.cli.output import clean, complain, show_json
from dnsd.cli.requests import request_of
from dnsd.cli.sentences import placed, released
from dnsd.cli.serve import config_option
from dnsd.housekeeping import without_collector
from dnsd.model.times import format_duration

if TYPE_CHECKING:
    from dnsd.agent.local import AgentState, LocalAnswer, LocalRequest
    from dnsd.agent.settings import AgentSettings
    from dnsd.api.schemas import DrainOutcome, NodeStatus
    from dnsd.cli.waiting import Watched

# How long the agent tries while no server answers, and --wait waits. Unit: seconds.
DEFAULT_SECONDS = 30.0

# Of one look at the agent while something is waited for. Unit: seconds.
LOOK_SECONDS = 5.0

timeout_option = click.option(
    "--timeout", type=DURATION, help="How long at most, as 30s; with --wait safe, without: as long as it takes."
)


@click.group(invoke_without_command=True)
@click.option("--config", metavar="FILE", type=click.Path(path_type=Path), help="The agent's configuration (TOML).")
@json_option
@click.pass_context
def agent(ctx: click.Context, config: Path | None, *, as_json: bool) -> None:
    """Run the agent of a node until SIGTERM: reports, drains on stop, hooks.

    The commands speak to the agent that runs with the same configuration.
    """
    if ctx.invoked_subcommand is not None:
        ctx.default_map = {name: {"config": config} for name in agent.commands} if config is not None else None
        return
    if config is None:
        raise click.UsageError("Missing option '--config'.")
    # Only here: the agent's parts are no business of the other commands.
    with without_collector():
        from dnsd.agent.main import run_agent

    ctx.exit(run_agent(_settings(config)))


@agent.command("check")
@config_option
@json_option
def check(config: Path, *, as_json: bool) -> None:
    """Say everything that is wrong with the configuration."""
    settings = _settings(config)
    if as_json:
        click.echo(json.dumps(check_document((), warnings=settings.warnings), indent=2))
        return
    for warning in settings.warnings:
        click.echo(f"warning: {clean(warning)}", err=True)
    click.echo(f"{config}: ok; node {settings.node}, {len(settings.servers)} servers")


@agent.command("drain")
@config_option
@roles_option
@mode_option
@for_option
@indefinite_option
@reason_option
@click.option("--wait", type=click.Choice(["applied", "safe"]), help="Return when all have applied it, or when safe.")
@timeout_option
@json_option
def drain(
    config: Path,
    *,
    roles: tuple[str, ...],
    mode: str,
    for_seconds: float | None,
    indefinite: bool,
    reason: str,
    wait: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Drain this node in the agent's name; the guard of the pools' floors applies."""
    from dnsd.agent.local import MAX_SECONDS, LocalRequest
    from dnsd.api.schemas import DrainRequest
    from dnsd.cli.waiting import Watched

    settings = _settings(config)
    request = request_of(
        DrainRequest,
        roles=list(roles) or None,
        mode=mode,
        reason=reason,
        expires_in=for_seconds,
        indefinite=indefinite,
    )
    began = time.monotonic()
    seconds = DEFAULT_SECONDS if timeout is None else min(timeout, MAX_SECONDS)
    asked = LocalRequest(do="drain", drain=request, seconds=seconds)
    outcome = _outcome(_ask(settings, asked))
    if wait is None or not as_json:
        _show(outcome, placed(outcome, node=settings.node), as_json=as_json)
    if wait is None:
        return
    left = float("inf") if timeout is None and wait == "safe" else (timeout or DEFAULT_SECONDS)
    watched = Watched.of(outcome, node=settings.node)
    status = _wait(settings, watched, wait, deadline=began + left)
    if as_json:
        shown = None if status is None else status.model_dump(mode="json", exclude_unset=True)
        click.echo(json.dumps({**outcome.model_dump(mode="json", exclude_unset=True), "status": shown}, indent=2))
    _finish(watched, wait, status)


@agent.command("undrain")
@config_option
@roles_option
@click.option("--wait", type=click.Choice(["applied"]), help="Return when all have applied it.")
@timeout_option
@json_option
def undrain(config: Path, *, roles: tuple[str, ...], wait: str | None, timeout: float | None, as_json: bool) -> None:
    """Release what the agent has drained; whatever others hold stays."""
    from dnsd.agent.local import MAX_SECONDS, LocalRequest
    from dnsd.api.schemas import ReleaseRequest

    settings = _settings(config)
    seconds = DEFAULT_SECONDS if timeout is None else min(timeout, MAX_SECONDS)
    began = time.monotonic()
    release = request_of(ReleaseRequest, roles=list(roles) or None)
    outcome = _outcome(_ask(settings, LocalRequest(do="undrain", release=release, seconds=seconds)))
    lines = (
        released(outcome, node=settings.node) if outcome.changed else iter((f"{settings.node}: nothing to release",))
    )
    _show(outcome, lines, as_json=as_json)
    if wait is not None and not _applied_before(settings, outcome.revision, deadline=began + seconds):
        complain("timed out: it is released, and not all have applied it")
        click.get_current_context().exit(ExitStatus.TIMED_OUT)


@agent.command("status")
@config_option
@json_option
def status(config: Path, *, as_json: bool) -> None:
    """Say what the agent knows, and what the control plane says of the node."""
    from dnsd.agent.local import LocalRequest

    answer = _ask(_settings(config), LocalRequest(do="status"))
    if as_json:
        show_json(answer)
        return
    if answer.state is not None:
        for line in _state_lines(answer.state):
            click.echo(clean(line))
    if answer.status is None:
        click.echo("control plane: cannot be asked")
        return
    click.echo(f"safe to stop: {'yes' if answer.status.safe_to_stop else 'no'}")
    for blocker in answer.status.blockers:
        click.echo(clean(f"  blocked: {blocker}"))


def _settings(config: Path) -> AgentSettings:
    from dnsd.agent.loading import load_agent_settings

    return load_agent_settings(config)


def _ask(settings: AgentSettings, request: LocalRequest) -> LocalAnswer:
    import asyncio

    from dnsd.agent.local import ask_agent

    return asyncio.run(ask_agent(settings.socket, request, attempt_seconds=settings.timeout_seconds))


def _outcome(answer: LocalAnswer) -> DrainOutcome:
    if answer.outcome is None:
        raise AssertionError("an agent answers an order with its outcome or a failure")
    return answer.outcome


def _show(outcome: DrainOutcome, lines: Iterable[str], *, as_json: bool) -> None:
    if as_json:
        show_json(outcome)
        return
    for line in lines:
        click.echo(clean(line))


def _look(settings: AgentSettings) -> NodeStatus | None:
    """Return what the control plane says of the node; None: it cannot be asked for now."""
    from dnsd.agent.local import AgentUnreachable, LocalRequest

    try:
        return _ask(settings, LocalRequest(do="status", seconds=LOOK_SECONDS)).status
    except AgentUnreachable:
        return None  # it may be restarted while the drain goes on


def _wait(settings: AgentSettings, watched: Watched, wait: str, *, deadline: float) -> NodeStatus | None:
    """Wait until the drain is applied or the node is safe, or the time is over; return the last status."""
    from dnsd.cli.waiting import pause_of

    last: NodeStatus | None = None
    while True:
        found = _look(settings)
        last = found or last
        if found is not None and _done(watched, wait, found):
            return found
        left = deadline - time.monotonic()
        if left <= 0 or (found is not None and found.revision >= watched.revision and not watched.stands(found)):
            return last
        roles = [] if found is None else list(watched.roles_in(found).values())
        time.sleep(min(pause_of(roles, time.time()), left))


def _done(watched: Watched, wait: str, found: NodeStatus) -> bool:
    if wait == "safe":
        return watched.safe(found)
    return found.revision >= watched.revision and not any(role.pending for role in watched.roles_in(found).values())


def _finish(watched: Watched, wait: str, status: NodeStatus | None) -> None:
    if status is not None and _done(watched, wait, status):
        click.echo(f"{watched.node}: {'safe to stop' if wait == 'safe' else 'applied'}", err=True)
        return
    if status is not None and status.revision >= watched.revision and not watched.stands(status):
        complain(f"the drain of {watched.node} was released or has expired")
        click.get_current_context().exit(ExitStatus.FAILED)
    complain(
        f"timed out: the drain of {watched.node} stands, and it is not {'safe to stop' if wait == 'safe' else wait}"
    )
    for blocker in watched.blockers(status) if status is not None else ():
        click.echo(clean(f"  blocked: {blocker}"), err=True)
    click.get_current_context().exit(ExitStatus.TIMED_OUT)


def _applied_before(settings: AgentSettings, revision: int, *, deadline: float) -> bool:
    from dnsd.cli.waiting import SHORTEST_PAUSE_SECONDS

    while True:
        found = _look(settings)
        if found is not None and found.revision >= revision and not any(r.pending for r in found.roles.values()):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(SHORTEST_PAUSE_SECONDS)


def _state_lines(state: AgentState) -> Iterator[str]:
    ago = "never" if state.reported_ago is None else f"{format_duration(state.reported_ago)} ago"
    yield f"{state.node}: {state.phase}, last report taken {ago}, by {state.server}"
    yield f"revision {state.revision}, applied {state.applied_revision}"
    for role, mode in state.modes.items():
        counts = state.sessions.get(role)
        kinds = ("viewers", "inputs", "jobs")
        told = ", ".join(f"{kind} {_count(None if counts is None else getattr(counts, kind))}" for kind in kinds)
        yield f"  {role}: {mode}, {state.health.get(role, 'unknown')}, {told}"
    yield from (f"  {what}: {why}" for what, why in state.faults.items())


def _count(value: int | None) -> str:
    return "unknown" if value is None else str(value)
