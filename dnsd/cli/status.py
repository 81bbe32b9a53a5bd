"""`dnsd status NODE`: how far a drain has come, and what still stands between the operator and the power switch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from dnsd.cli.connection import NODE, Connection, talks_to_server
from dnsd.cli.output import clean, moment, show_json
from dnsd.cli.sentences import applied_and_pending, drain_terms, ramping

if TYPE_CHECKING:
    from dnsd.api.schemas import DnsProgress, NodeStatus, RoleStatus, SessionProgress


@click.command(
    epilog="The exit status says whether the question was answered, not what the answer is: "
    "scripts read `safe_to_stop` of --json."
)
@click.argument("node", type=NODE)
@talks_to_server
def status(connection: Connection, *, node: str) -> None:
    """Say how far the drains of NODE have come and whether it may be stopped."""
    answer = connection.ask(lambda client: client.status(node))
    if connection.as_json:
        show_json(answer)
        return
    for line in status_lines(answer, now=time.time()):
        click.echo(clean(line))


def status_lines(status: NodeStatus, *, now: float) -> Iterator[str]:
    """Tell a node's status line by line."""
    yield f"{status.node}: {'safe to stop' if status.safe_to_stop else 'not safe to stop'}"
    for blocker in status.blockers:
        yield f"  blocked: {blocker}"
    for caveat in status.caveats:
        yield f"  caveat: {caveat}"
    for name, role in status.roles.items():
        yield f"role {name}: {role.mode}, {'safe to stop' if role.safe_to_stop else 'not safe to stop'}"
        if role.ramp is not None:
            yield f"  {ramping(role.ramp)}"
        yield from _role_lines(role, now=now)
        for blocker in role.blockers:
            if f"{name}: {blocker}" not in status.blockers:  # told above already
                yield f"  blocked: {blocker}"


def _role_lines(role: RoleStatus, *, now: float) -> Iterator[str]:
    for drain in role.drains:
        yield f"  drain: {drain_terms(drain)}; {drain.reason}"
    yield f"  dns: {_dns(role.dns, now=now)}"
    yield from applied_and_pending(role.applied, role.pending)
    yield f"  sessions: {_sessions(role.sessions, now=now)}"


def _dns(dns: DnsProgress, *, now: float) -> str:
    if dns.withdrawn_at is None:
        return "no pool names it" if dns.max_ttl is None else "answers may still name it"
    withdrawn = f"withdrawn {moment(dns.withdrawn_at, now=now)}"
    if dns.caches_clear_at is None:
        return withdrawn
    verb = "caches clear" if dns.caches_clear_at > now else "caches cleared"
    ttl = "" if dns.max_ttl is None else f", largest TTL {dns.max_ttl} s"
    return f"{withdrawn}, {verb} {moment(dns.caches_clear_at, now=now)}{ttl}"


def _sessions(sessions: SessionProgress | None, *, now: float) -> str:
    if sessions is None:
        return "not known"
    counts = {"viewers": sessions.viewers, "inputs": sessions.inputs, "jobs": sessions.jobs}
    told = ", ".join(f"{kind} {'not known' if count is None else count}" for kind, count in counts.items())
    return f"{told}, as of {moment(sessions.observed_at, now=now)}{'' if sessions.fresh else ' (stale)'}"
