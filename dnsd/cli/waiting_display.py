"""How a wait for a node to become safe to stop is shown: live on a terminal, in lines where something changes else."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from dnsd.cli.output import absolute, clean, complain
from dnsd.model.times import format_duration

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dnsd.api.schemas import NodeStatus, RoleStatus, SessionProgress
    from dnsd.cli.waiting import Display, Watched

# How often the live display is drawn, so that its times count. Unit: per second.
REFRESHES_PER_SECOND = 4

# Consumers that apply a drain within this are not told of as late, but on the live display. Unit: seconds.
LATE_SECONDS = 1.0

BAR_WIDTH = 20  # characters

# What differs between two looks where only time has passed or fewer are left: durations, and counts behind a role.
_MOVING = re.compile(r"\b(?:\d+[dhms]){1,2}\b|(?<=: )\d+(?= )")


class SilentDisplay:
    """Shows nothing but that the server is lost and found, on standard error: for programs that read JSON."""

    def look(self, status: NodeStatus) -> None:
        """Take note of a status."""

    def lost(self, reason: str) -> None:
        """Say that the server cannot be asked."""
        complain(f"{reason}; the drain stands, asking again")

    def found(self) -> None:
        """Say that the server answers again."""
        complain("the server answers again")


class PlainDisplay(SilentDisplay):
    """Prints a line where something has changed, and nothing where only time has passed."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._began = time.monotonic()
        self._told: set[str] = set()
        self._sessions: dict[str, str] = {}

    def look(self, status: NodeStatus) -> None:
        """Print what is new in a status."""
        blockers = self._watched.blockers(status)
        early = time.monotonic() - self._began < LATE_SECONDS
        if early and any(role.pending for role in self._watched.roles_in(status).values()):
            return
        kinds = {_MOVING.sub("#", blocker): blocker for blocker in blockers}
        for kind, blocker in kinds.items():
            if kind not in self._told:
                click.echo(clean(f"waiting: {blocker}"))
        self._told = set(kinds)
        for name, role in self._watched.roles_in(status).items():
            self._look_at_sessions(name, role)

    def _look_at_sessions(self, name: str, role: RoleStatus) -> None:
        if role.sessions is None:
            return
        told = ", ".join(_counts(role.sessions))
        if told != self._sessions.get(name):
            if name in self._sessions or any(_known_counts(role.sessions).values()):
                click.echo(clean(f"sessions: {name}: {told}"))
            self._sessions[name] = told


class LiveDisplay(SilentDisplay):
    """Draws the whole state again and again on a terminal.

    Attributes:
        changed: called where there is something new to draw.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._began = time.monotonic()
        self._status: NodeStatus | None = None
        self._trouble: str | None = None
        self._most: dict[tuple[str, str], int] = {}
        self.changed: Callable[[], None] = lambda: None

    def look(self, status: NodeStatus) -> None:
        """Draw this status from now on."""
        self._status = status
        for name, role in self._watched.roles_in(status).items():
            for kind, count in (_known_counts(role.sessions) if role.sessions else {}).items():
                self._most[name, kind] = max(count, self._most.get((name, kind), 0))
        self.changed()

    def lost(self, reason: str) -> None:
        """Draw that the server cannot be asked."""
        self._trouble = f"{reason}; the drain stands, asking again"
        self.changed()

    def found(self) -> None:
        """Draw it no more."""
        self._trouble = None
        self.changed()

    def drawn(self) -> RenderableType:
        """Return what to draw now."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        elapsed = format_duration(time.monotonic() - self._began)
        head = Text(f"{self._watched.node}: waiting until it is safe to stop, {elapsed}", style="bold")
        if self._trouble is not None:
            return Group(head, Text(clean(self._trouble), style="red"))
        if self._status is None:
            return Group(head)
        table = Table.grid(padding=(0, 2))
        for name, role in self._watched.roles_in(self._status).items():
            for label, content in self._rows(role, name):
                table.add_row(Text(name, style="cyan"), label, content)
        blockers = [Text(clean(f"waiting: {each}"), style="yellow") for each in self._watched.blockers(self._status)]
        caveats = [Text(clean(f"caveat: {each}"), style="dim") for each in self._status.caveats]
        return Group(head, table, *blockers, *caveats)

    def _rows(self, role: RoleStatus, name: str) -> Iterator[tuple[str, RenderableType]]:
        from rich.columns import Columns
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        now = time.time()
        scheduled = [drain.starts_at for drain in role.drains if drain.state == "scheduled"]
        if scheduled and role.mode == "normal":
            yield "starts", Text(f"in {format_duration(max(0.0, min(scheduled) - now))} ({absolute(min(scheduled))})")
        total = len(role.applied) + len(role.pending)
        late = "".join(f"; pending at {each.consumer} ({each.kind})" for each in role.pending)
        yield "applied", Text(clean(f"by {len(role.applied)} of {total}{late}"))
        if role.dns.caches_clear_at is not None and role.dns.max_ttl:
            left = max(0.0, role.dns.caches_clear_at - now)
            bar = ProgressBar(total=role.dns.max_ttl, completed=max(0.0, role.dns.max_ttl - left), width=BAR_WIDTH)
            said = f"{format_duration(left)} of {role.dns.max_ttl} s left" if left else "clear"
            yield "caches", Columns([bar, Text(said)])
        if role.sessions is not None:
            stale = "" if role.sessions.fresh else " (stale)"
            yield "sessions", Text(", ".join(self._falling(name, role.sessions)) + stale)

    def _falling(self, name: str, sessions: SessionProgress) -> Iterator[str]:
        known = _known_counts(sessions)
        for kind, told in zip(("viewers", "inputs", "jobs"), _counts(sessions), strict=True):
            most = self._most.get((name, kind), 0)
            yield told if most == known.get(kind, most) else f"{told} (of {most})"


def _known_counts(sessions: SessionProgress) -> dict[str, int]:
    counts = {"viewers": sessions.viewers, "inputs": sessions.inputs, "jobs": sessions.jobs}
    return {kind: count for kind, count in counts.items() if count is not None}


def _counts(sessions: SessionProgress) -> list[str]:
    known = _known_counts(sessions)
    return [f"{kind} {known.get(kind, 'not known')}" for kind in ("viewers", "inputs", "jobs")]


@contextmanager
def display(watched: Watched, *, as_json: bool, terminal: bool) -> Iterator[Display]:
    """Yield the display that suits the reader, and leave the terminal as it was found.

    Args:
        terminal: standard output is one.
    """
    if as_json:
        yield SilentDisplay()
    elif not terminal:
        yield PlainDisplay(watched)
    else:
        from rich.live import Live

        live = LiveDisplay(watched)
        # Transient: what stays on the terminal are the lines about how it ended.
        with Live(get_renderable=live.drawn, refresh_per_second=REFRESHES_PER_SECOND, transient=True) as drawn:
            live.changed = drawn.refresh
            yield live
