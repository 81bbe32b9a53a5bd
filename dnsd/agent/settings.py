"""An agent's configuration once it is checked: what the rest of the agent reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dnsd.api.schemas import NodeRequest

# As the server has them; each is reported for a role whose sessions are counted.
SESSION_KINDS = ("viewers", "inputs", "jobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSource:
    """Where one count comes from; one of `ports`, `command` and `url`, or none of them: always 0.

    Args:
        path: keys and indices into the document at `url`; empty: the document itself.
    """

    role: str
    kind: str
    timeout_seconds: float
    ports: frozenset[int] = frozenset()
    command: tuple[str, ...] = ()
    url: str | None = None
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """One thing that must hold for a role to be up: one of `tcp` (host and port), `command` and `url`."""

    role: str
    timeout_seconds: float
    tcp: tuple[str, int] | None = None
    command: tuple[str, ...] = ()
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What an agent runs by.

    Args:
        registration: with what the node is registered; None: it is in the inventory, and is confirmed.
        hooks: event (`drain`, `safe`, `return`) → program and arguments.
        warnings: what is odd in the file but serves, each as a line for its author.
    """

    node: str
    servers: tuple[str, ...]
    token_file: Path | None
    interval_seconds: float
    timeout_seconds: float
    drain_on_stop: bool
    stop_deadline_seconds: float
    socket: Path
    state_file: Path
    registration: NodeRequest | None = None
    sessions: tuple[SessionSource, ...] = ()
    health: tuple[HealthCheck, ...] = ()
    hooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hook_timeout_seconds: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that the file speaks of outside `[node]`."""
        roles = [each.role for each in self.sessions] + [each.role for each in self.health]
        return tuple(dict.fromkeys(roles))
