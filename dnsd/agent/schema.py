"""The tables and keys of an agent's configuration, their types and defaults; docs/agent.md tells what they mean.

What the values mean together is checked in `dnsd.agent.loading`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from dnsd.model.node import DEFAULT_WEIGHT, MAX_PORT, MAX_PRIORITY, MAX_WEIGHT

# The version of the file's format; it rises when a file that was good would mean something else.
FORMAT_VERSION = 1

DEFAULT_INTERVAL = "5s"
DEFAULT_REQUEST_TIMEOUT = "5s"
DEFAULT_PROBE_TIMEOUT = "2s"
DEFAULT_HOOK_TIMEOUT = "30s"
DEFAULT_STOP_DEADLINE = "10m"
DEFAULT_SOCKET = "/run/dnsd-agent/agent.sock"
DEFAULT_STATE_FILE = "/var/lib/dnsd-agent/state.json"


def _known_version(value: int) -> int:
    if value != FORMAT_VERSION:
        message = f"this dnsd reads version {FORMAT_VERSION}"
        raise PydanticCustomError("version", "{message}", {"message": message})
    return value


Port = Annotated[int, Field(ge=1, le=MAX_PORT)]
Argv = Annotated[list[str], Field(min_length=1)]


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class TopSection(Section):
    """The keys before the first table."""

    version: Annotated[int, AfterValidator(_known_version)]


class AgentSection(Section):
    """`[agent]`."""

    node: str
    servers: Annotated[list[str], Field(min_length=1)]
    token_file: str | None = None
    interval: str = DEFAULT_INTERVAL
    timeout: str = DEFAULT_REQUEST_TIMEOUT
    drain_on_stop: bool = False
    stop_deadline: str = DEFAULT_STOP_DEADLINE
    socket: str = DEFAULT_SOCKET
    state_file: str = DEFAULT_STATE_FILE


class NodeSection(Section):
    """`[node]`: with what the agent registers its node."""

    addresses: Annotated[list[str], Field(min_length=1)]
    roles: Annotated[list[str], Field(min_length=1)]
    region: str | None = None
    cluster: str | None = None
    location: list[float] | None = None
    weight: int = Field(DEFAULT_WEIGHT, ge=0, le=MAX_WEIGHT)
    labels: dict[str, str] = {}
    ports: dict[str, Port] = {}
    priority: Annotated[int, Field(ge=1, le=MAX_PRIORITY)] | None = None


class SessionsSection(Section):
    """`[[sessions]]`: how one kind of session of one role is counted."""

    role: str
    kind: Literal["viewers", "inputs", "jobs"]
    ports: Annotated[list[Port], Field(min_length=1)] | None = None
    command: Argv | None = None
    url: str | None = None
    path: str = ""
    none: bool = False
    timeout: str = DEFAULT_PROBE_TIMEOUT


class HealthSection(Section):
    """`[[health]]`: one thing that must hold for a role to be up."""

    role: str
    tcp: str | None = None
    command: Argv | None = None
    url: str | None = None
    timeout: str = DEFAULT_PROBE_TIMEOUT


class HooksSection(Section):
    """`[hooks]`: what is run when a mode changes."""

    drain: Argv | None = None
    safe: Argv | None = None
    return_: Argv | None = Field(None, alias="return")
    timeout: str = DEFAULT_HOOK_TIMEOUT


SINGLE_TABLES: dict[str, type[Section]] = {"agent": AgentSection, "node": NodeSection, "hooks": HooksSection}
REPEATED_TABLES: dict[str, type[Section]] = {"sessions": SessionsSection, "health": HealthSection}
