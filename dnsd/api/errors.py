"""What can go wrong for a client of the HTTP interface.

    DnsdError
    └── ClientError
        ├── ServerUnreachable    no answer came: nothing listens, or the connection broke
        │   └── NoAnswerInTime   the request was sent, and time ran out
        ├── UnexpectedAnswer     an answer came, but not from a server that speaks this interface
        └── ApiError             the server said no, as a problem document (RFC 9457)

It imports neither the schemas nor an HTTP library, so that a program can name these errors before it needs either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnsd.errors import DnsdError

if TYPE_CHECKING:
    from dnsd.api.schemas import ProblemDetail


class ClientError(DnsdError):
    """A call that did not end as its method promises."""


class ServerUnreachable(ClientError):
    """No answer came.

    Args:
        server: the server's URL.
        reason: why, in plain words.
        sent: the request may have reached the server, so that a write may have been carried out.
    """

    def __init__(self, server: str, reason: str, *, sent: bool) -> None:
        super().__init__(f"cannot reach {server}: {reason}")
        self.server = server
        self.reason = reason
        self.sent = sent


class NoAnswerInTime(ServerUnreachable):
    """The request was sent, and no answer came in time.

    Args:
        server: the server's URL.
    """

    def __init__(self, server: str) -> None:
        super().__init__(server, "no answer in time", sent=True)


class UnexpectedAnswer(ClientError):
    """An answer that is not this interface's.

    Args:
        url: what was asked.
        status: its HTTP status.
        reason: what is wrong with it, in plain words.
    """

    def __init__(self, url: str, *, status: int, reason: str) -> None:
        super().__init__(f"{url} answered {status}, and {reason}")
        self.url = url
        self.status = status
        self.reason = reason


class ApiError(ClientError):
    """The server refused, and said why.

    Args:
        problem: its answer, members that this version does not know included.
    """

    def __init__(self, problem: ProblemDetail) -> None:
        super().__init__(f"{problem.detail} [{problem.id}]")
        self.problem = problem
