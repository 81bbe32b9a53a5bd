"""Waiting until a drained node may be stopped: asking again and again, over outages, until yes, too late, or no more.

It owns when to ask and when to give up. How progress looks is the display's business, and whether a node may be
stopped is the server's.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dnsd.api.errors import ApiError, ClientError
from dnsd.model.drain import ALL_ROLES

if TYPE_CHECKING:
    from dnsd.api.client import Client
    from dnsd.api.schemas import DrainOutcome, NodeStatus, RoleStatus

# Between two looks at a node's status: gentle for the server, and prompt enough for whoever waits. Shorter where the
# server itself has said when something changes. Unit: seconds.
LONGEST_PAUSE_SECONDS = 1.0
SHORTEST_PAUSE_SECONDS = 0.1

# Between two looks while consumers have yet to apply the drain, which takes them milliseconds. Unit: seconds.
PENDING_PAUSE_SECONDS = 0.2

# Between attempts while the server cannot be asked: doubles from the first to the last. Unit: seconds.
FIRST_RETRY_SECONDS = 0.25
LAST_RETRY_SECONDS = 5.0

# Where no time-out is named: a server that is away for longer is not coming back by itself. Unit: seconds.
MAX_OUTAGE_SECONDS = 600.0

# One look at the status. Unit: seconds.
STATUS_TIMEOUT_SECONDS = 5.0

# What the last look gets that begins as the time is over. Unit: seconds.
LAST_LOOK_SECONDS = 1.0

# A server behind the revision that placed the drain may not know it yet, or may have lost it. Unit: seconds.
UNKNOWN_DRAIN_SECONDS = 10.0


class Ending(enum.Enum):
    """How a wait has ended."""

    SAFE = "safe"
    TIMED_OUT = "timed-out"
    DRAIN_ENDED = "drain-ended"  # released or expired: what was waited for will not come


class Display(Protocol):
    """What shows the progress of a wait."""

    def look(self, status: NodeStatus) -> None:
        """Take note of a node's status."""

    def lost(self, reason: str) -> None:
        """Take note that the server cannot be asked."""

    def found(self) -> None:
        """Take note that the server answers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is waited for.

    Args:
        roles: the drained ones; `*`: the whole node.
        holder: whose drain it is.
        revision: the store's, at the drain's last change.
    """

    node: str
    roles: tuple[str, ...]
    holder: str
    revision: int

    @classmethod
    def of(cls, outcome: DrainOutcome, *, node: str) -> Watched:
        """Return what an accepted drain is to be watched by."""
        if outcome.drain is None:
            raise ValueError("there is no drain to wait for")
        drain = outcome.drain
        return cls(node=node, roles=tuple(drain.roles), holder=drain.holder, revision=drain.revision)

    def whole(self) -> bool:
        """Say whether it is about all roles."""
        return ALL_ROLES in self.roles

    def roles_in(self, status: NodeStatus) -> dict[str, RoleStatus]:
        """Return what a status says of the roles in question."""
        return {name: role for name, role in status.roles.items() if self.whole() or name in self.roles}

    def safe(self, status: NodeStatus) -> bool:
        """Say whether the drained roles may be stopped."""
        if self.whole():
            return status.safe_to_stop
        found = self.roles_in(status)
        return len(found) == len(set(self.roles)) and all(role.safe_to_stop for role in found.values())

    def blockers(self, status: NodeStatus) -> list[str]:
        """Return what stands against stopping the drained roles."""
        if self.whole():
            return list(status.blockers)
        named = (f"{name}: {each}" for name, role in self.roles_in(status).items() for each in role.blockers)
        missing = (f"{role}: {self.node} does not have this role any more" for role in self.roles)
        return [*named, *(each for each, role in zip(missing, self.roles, strict=True) if role not in status.roles)]

    def stands(self, status: NodeStatus) -> bool:
        """Say whether the drain is still there, scheduled or active, in every role in question."""
        return all(any(drain.holder == self.holder for drain in role.drains) for role in self.roles_in(status).values())


@dataclass(slots=True)
class Result:
    """What came of a wait.

    Args:
        status: the last that was heard; None: none was.
    """

    ending: Ending
    status: NodeStatus | None
    seconds: float


class Waiting:
    """One wait.

    Args:
        timeout_seconds: how long at most; None: as long as the drain stands.
    """

    def __init__(self, client: Client, watched: Watched, display: Display, *, timeout_seconds: float | None) -> None:
        self._client = client
        self._watched = watched
        self._display = display
        self._began = time.monotonic()
        self._deadline = float("inf") if timeout_seconds is None else self._began + timeout_seconds
        self._bounded = timeout_seconds is not None
        self._status: NodeStatus | None = None
        self._lost_since: float | None = None
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._missing_since: float | None = None

    async def run(self) -> Result:
        """Wait.

        Raises:
            ClientError: the server refuses, or is away for too long and no time-out was named.
        """
        while True:
            status = await self._look()
            if status is not None:
                self._display.look(status)
                if self._watched.safe(status):
                    return self._ended(Ending.SAFE)
                if self._has_ended(status):
                    return self._ended(Ending.DRAIN_ENDED)
            left = self._deadline - time.monotonic()
            if left <= 0:
                return self._ended(Ending.TIMED_OUT)
            pause = self._retry() if status is None else pause_of(self._watched.roles_in(status).values(), time.time())
            await asyncio.sleep(min(pause, left))

    def _ended(self, ending: Ending) -> Result:
        return Result(ending, self._status, time.monotonic() - self._began)

    async def _look(self) -> NodeStatus | None:
        """Return the status, or None where the server cannot be asked for now."""
        seconds = min(STATUS_TIMEOUT_SECONDS, max(self._deadline - time.monotonic(), LAST_LOOK_SECONDS))
        try:
            async with asyncio.timeout(seconds):
                status = await self._client.status(self._watched.node)
        except TimeoutError:
            self._lose("no answer in time")
            return None
        except ClientError as error:
            if not _passes(error):
                raise
            self._lose(str(error))
            if not self._bounded and time.monotonic() - (self._lost_since or 0.0) > MAX_OUTAGE_SECONDS:
                raise
            return None
        if self._lost_since is not None:
            self._lost_since = None
            self._retry_seconds = FIRST_RETRY_SECONDS
            self._display.found()
        self._status = status
        return status

    def _lose(self, reason: str) -> None:
        if self._lost_since is None:
            self._lost_since = time.monotonic()
            self._display.lost(reason)

    def _retry(self) -> float:
        pause = self._retry_seconds
        self._retry_seconds = min(pause * 2, LAST_RETRY_SECONDS)
        return pause

    def _has_ended(self, status: NodeStatus) -> bool:
        if self._watched.stands(status):
            self._missing_since = None
            return False
        if status.revision >= self._watched.revision:
            return True
        now = time.monotonic()
        if self._missing_since is None:
            self._missing_since = now
        return now - self._missing_since > UNKNOWN_DRAIN_SECONDS


def _passes(error: ClientError) -> bool:
    """Say whether it is the kind of trouble that a restart brings and takes away."""
    return not isinstance(error, ApiError) or error.problem.status >= 500


def pause_of(roles: Iterable[RoleStatus], now: float) -> float:
    """Return how long to wait before the next look: until the next instant that the server has named, within limits.

    Args:
        now: instant, by the clock of this machine.
    """
    pause = LONGEST_PAUSE_SECONDS
    for role in roles:
        if role.pending:
            pause = min(pause, PENDING_PAUSE_SECONDS)
        instants = [drain.starts_at for drain in role.drains if drain.state == "scheduled"]
        if role.dns.caches_clear_at is not None:
            instants.append(role.dns.caches_clear_at)
        pause = min([pause, *(instant - now for instant in instants if instant > now)])
    return max(pause, SHORTEST_PAUSE_SECONDS)
