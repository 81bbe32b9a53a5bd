"""Local requests to a running agent: what goes over its socket, and the side of whoever asks.

One line of JSON each way. An answer is either a document, or an error as the HTTP client has them, so that it becomes
the same exit status wherever it is read.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dnsd.api.errors import ApiError, ClientError, NoAnswerInTime, ServerUnreachable
from dnsd.api.schemas import (
    DrainOutcome,
    DrainRequest,
    HealthName,
    ModeName,
    NodeStatus,
    ProblemDetail,
    ReleaseRequest,
    SessionCounts,
)
from dnsd.errors import DnsdError

# One line either way. Unit: bytes.
MAX_LINE_SIZE = 4 << 20

# An attempt that lasts longer was meant to have no end. Unit: seconds (366 days).
MAX_SECONDS = 366 * 86400.0

# For the agent's answer, beyond the time that it was given. Unit: seconds.
GRACE_SECONDS = 5.0


class AgentUnreachable(DnsdError):
    """No agent answers at the socket."""


class LocalRequest(BaseModel):
    """What is asked of an agent."""

    model_config = ConfigDict(extra="forbid", strict=True)

    do: Literal["drain", "undrain", "status"]
    drain: DrainRequest | None = None
    release: ReleaseRequest | None = None
    seconds: Annotated[float, Field(ge=0, le=MAX_SECONDS)] = 30.0


class AgentState(BaseModel):
    """What an agent knows by itself."""

    node: str
    phase: str
    server: str
    connected: bool
    reported_ago: float | None = Field(description="Seconds since a server last took a report; null: none has.")
    sequence: int
    revision: int | None = Field(description="Of the last desired state.")
    applied_revision: int | None
    modes: dict[str, ModeName]
    health: dict[str, HealthName]
    sessions: dict[str, SessionCounts]
    faults: dict[str, str]
    local_drains: list[str]


class LocalFailure(BaseModel):
    """Why a request was not carried out."""

    kind: Literal["refused", "unreachable", "no-answer", "other"]
    text: str
    server: str = ""
    sent: bool = False
    problem: ProblemDetail | None = None

    @classmethod
    def of(cls, error: ClientError) -> LocalFailure:
        """Return an error as it goes over the socket."""
        if isinstance(error, ApiError):
            return cls(kind="refused", text=str(error), problem=error.problem)
        if isinstance(error, NoAnswerInTime):
            return cls(kind="no-answer", text=str(error), server=error.server, sent=True)
        if isinstance(error, ServerUnreachable):
            return cls(kind="unreachable", text=error.reason, server=error.server, sent=error.sent)
        return cls(kind="other", text=str(error))

    def error(self) -> DnsdError:
        """Return it as the error that it was."""
        if self.problem is not None:
            return ApiError(self.problem)
        if self.kind == "no-answer":
            return NoAnswerInTime(self.server)
        if self.kind == "unreachable":
            return ServerUnreachable(self.server, self.text, sent=self.sent)
        return DnsdError(self.text)


class LocalAnswer(BaseModel):
    """An agent's answer: what was asked for, or why not."""

    failure: LocalFailure | None = None
    outcome: DrainOutcome | None = None
    status: NodeStatus | None = None
    state: AgentState | None = None


async def ask_agent(socket: Path, request: LocalRequest, *, attempt_seconds: float = GRACE_SECONDS) -> LocalAnswer:
    """Ask the agent at a socket.

    Args:
        attempt_seconds: what the agent gives a server for one request; its last attempt may begin at the end.

    Raises:
        AgentUnreachable: none answers there.
        ClientError: the control plane refused, or could not be reached.
    """
    limit = request.seconds + attempt_seconds + GRACE_SECONDS
    try:
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_unix_connection(socket, limit=MAX_LINE_SIZE)
            try:
                writer.write(request.model_dump_json(exclude_none=True).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except TimeoutError:
        raise AgentUnreachable(f"the agent at {socket} gave no answer in time") from None
    except PermissionError:
        raise AgentUnreachable(f"the agent's socket {socket} is its user's and root's alone") from None
    except (OSError, ValueError) as error:
        raise AgentUnreachable(f"no agent answers at {socket}: {getattr(error, 'strerror', None) or error}") from None
    answer = _read(line, socket)
    if answer.failure is not None:
        raise answer.failure.error()
    return answer


def _read(line: bytes, socket: Path) -> LocalAnswer:
    if not line.endswith(b"\n"):
        raise AgentUnreachable(f"the agent at {socket} ended before it had answered")
    try:
        return LocalAnswer.model_validate_json(line)
    except ValidationError:
        raise AgentUnreachable(f"what answers at {socket} is no agent of this version") from None
