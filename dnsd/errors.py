"""Every error that dnsd raises on purpose, and the `Problem` that validators report.

    DnsdError
    ├── PeerError                what a client sent is wrong: counted and answered, never logged with a traceback
    │   └── MessageError         a DNS message; carries its RCODE
    ├── ConfigurationError       carries every `Problem` found, not the first one
    ├── RequestError             an operator's request that cannot be carried out; carries a stable id
    │   ├── InvalidRequest       400: a field's value makes no sense
    │   ├── NotAllowed           403: the token's scope does not cover it
    │   ├── UnknownNode          404
    │   ├── UnknownPool          404
    │   ├── NodeConflict         409: the node is declared in the configuration
    │   ├── ConsumerConflict     409: the id is that of another kind of consumer
    │   ├── TooManyConsumers     429: no more routers are taken note of
    │   ├── CapacityFloor        409: a pool would fall below its floor; carries the impact
    │   └── RevisionMoved        412: the caller's If-Match names another revision
    ├── StoreError
    │   ├── StoreUnavailable     503: the store cannot be reached or written; that may pass
    │   │   ├── NotReplicated    it is written, and may be lost with the primary
    │   │   ├── RevisionLost     it was written, and is lost already
    │   │   └── StoreRefused     waiting will not help: wrong password, version, or data of somebody else's
    │   ├── RevisionConflict     somebody else committed first: load, decide again, retry
    │   └── ChangesTrimmed       the change log no longer reaches back that far: reload everything
    │       └── StoreDiverged    the store has lost what was there: reload, and put back what is missing
    └── StartError               a server that cannot start: address in use, store locked, worker dies at once

It knows nothing of HTTP: the admin package maps each class to its status.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class DnsdError(Exception):
    """The root of all errors that dnsd raises on purpose."""


class PeerError(DnsdError):
    """The other side is wrong."""


class MessageError(PeerError):
    """A DNS message that cannot be answered from data.

    Args:
        rcode: the RCODE to answer with (RFC 1035 §4.1.1, RFC 6895 §2.3).
        reason: what is wrong, for counters and tests.
    """

    def __init__(self, rcode: int, reason: str) -> None:
        super().__init__(reason)
        self.rcode = rcode
        self.reason = reason


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in a configuration or zone file.

    Args:
        file: the path as the operator gave it.
        line: counted from 1; 0 where no line can be named.
        place: the key or owner it concerns, as `pool[2].role` or `www.example.org.`.
        id: a stable, documented identifier such as `unknown-key`.
        message: one sentence in plain words.
    """

    file: str
    line: int
    place: str
    id: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        place = f" {self.place}:" if self.place else ""
        return f"{where}:{place} {self.message} [{self.id}]"


class ConfigurationError(DnsdError):
    """A configuration that is not used; carries every reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class RequestError(DnsdError):
    """An operator's request that cannot be carried out.

    Args:
        detail: one sentence in plain words.
        field: the field of the request that is at fault, where there is one.
    """

    id = "request"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class InvalidRequest(RequestError):
    """A value that makes no sense: unknown role or mode, a time in the past, a missing reason."""

    id = "invalid-request"


class NotAllowed(RequestError):
    """The caller's scope does not cover the request."""

    id = "not-allowed"


class UnknownNode(RequestError):
    """No node with that id."""

    id = "unknown-node"


class UnknownPool(RequestError):
    """No pool with that owner name."""

    id = "unknown-pool"


class NodeConflict(RequestError):
    """The node, or the name it would get, belongs to something else."""

    id = "node-conflict"


class ConsumerConflict(RequestError):
    """The consumer's id belongs to something other than a router."""

    id = "consumer-conflict"


class TooManyConsumers(RequestError):
    """So many consumers are known already that no other one is taken note of."""

    id = "too-many-consumers"


class RevisionMoved(RequestError):
    """The caller named a revision that is no longer the current one."""

    id = "revision-moved"


class CapacityFloor(RequestError):
    """A pool would fall below its floor.

    Args:
        impact: one mapping per pool, as in the HTTP answer's `impact`.
    """

    id = "capacity-floor"

    def __init__(self, detail: str, *, impact: Sequence[dict[str, Any]]) -> None:
        super().__init__(detail)
        self.impact = tuple(impact)


class StoreError(DnsdError):
    """The store did not do what it was asked."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, or does not accept writes."""


class NotReplicated(StoreUnavailable):
    """The store has taken a write, and too few replicas have it; the store itself is well."""


class RevisionLost(StoreUnavailable):
    """The store has lost a write that it had taken; the store itself is well."""


class StoreRefused(StoreUnavailable):
    """The store is reached and is not usable until an operator changes something."""


class RevisionConflict(StoreError):
    """The store's revision is not the one that the commit was decided on."""

    def __init__(self, *, expected: int, actual: int) -> None:
        super().__init__(f"the store is at revision {actual}, not {expected}")
        self.expected = expected
        self.actual = actual


class ChangesTrimmed(StoreError):
    """The change log no longer holds what comes after the asked revision."""


class StoreDiverged(ChangesTrimmed):
    """The store is before the asked revision, or came to one of that number another way: it has lost writes."""


class StartError(DnsdError):
    """The server cannot start; the message says why in one line."""
