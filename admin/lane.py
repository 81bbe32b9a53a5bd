"""The short way of agents' reports: a complete request in, the response out, without aiohttp in between.

At a thousand reports a second most of their cost is in what a web framework does for any request. This takes only
requests of one form, which is that of every agent, checks of them all that the long way checks, and only ever says yes:
whatever is not just so, in its head, its token, its body or the service's view of it, is left to the long way, which
knows the word for it, and so is a fault of ours. It must not know connections.
"""

from __future__ import annotations

import re
import time
from email.utils import formatdate

from admin.auth import Access, Gate
from admin.backend import Backend
from admin.bodies import MAX_BODY_SIZE, check_json
from admin.framing import END_OF_HEAD, HEAD, MAX_HEAD_SIZE, size_of_body
from admin.problems import SECURITY_HEADERS
from dnsd.api.schemas import ReportRequest

_START = b"POST /v1/nodes/"
_LINE = re.compile(rb"POST /v1/nodes/([A-Za-z0-9_-]{1,63})/report HTTP/1\.1")
_SIZE = re.compile(rb"[0-9]{1,6}")

# Fields that change nothing in how a report is taken, and those that are looked at. With any other it is not so simple.
_IDLE = frozenset({b"accept", b"accept-encoding", b"accept-language", b"user-agent"})
_HEEDED = frozenset({b"host", b"content-type", b"content-length", b"authorization", b"connection"})
_MEDIA_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"})

_FIXED = "".join(f"{name}: {value}\r\n" for name, value in SECURITY_HEADERS.items())


class ReportLane:
    """Answers reports that are as they should be.

    Args:
        gate: the same as on the long way.
    """

    def __init__(self, gate: Gate, backend: Backend) -> None:
        self._gate = gate
        self._backend = backend
        self._date = ""
        self._date_of = -1

    def take(self, data: bytes, begin: int = 0) -> tuple[bytes, int] | None:
        """Return the response to a report, and where the report ends; None: all of it is for the long way.

        Args:
            begin: where in the data a request begins; others may follow it.
        """
        place = data.find(END_OF_HEAD, begin, begin + MAX_HEAD_SIZE)
        if place < 0 or not data.startswith(_START, begin):
            return None
        head = HEAD.match(data, begin)
        if head is None or head.end() != place + len(END_OF_HEAD):
            return None
        line, *fields = data[begin:place].split(b"\r\n")
        target = _LINE.fullmatch(line)
        values = _heeded(fields)
        if target is None or values is None or not _is_plain(values):
            return None
        end = head.end() + int(values[b"content-length"])
        if end > len(data):
            return None
        try:
            return self._answer(target[1].decode(), values, data[head.end() : end]), end
        except Exception:  # noqa: BLE001 - refused, or a fault of ours: the long way meets it again, and answers
            return None

    def _answer(self, node: str, values: dict[bytes, bytes], body: bytes) -> bytes:
        self._gate.check_host(values[b"host"].decode())
        authorization = values.get(b"authorization")
        self._gate.admit([] if authorization is None else [authorization.decode()], Access.WRITE_NODE, node=node)
        check_json(body)
        desired = self._backend.report(node, ReportRequest.model_validate_json(body))
        answer = desired.model_dump_json().encode()
        head = (
            f'HTTP/1.1 200 OK\r\nETag: "{desired.revision}"\r\n{_FIXED}Content-Length: {len(answer)}\r\n'
            f"Content-Type: application/json\r\nDate: {self._now()}\r\n\r\n"
        )
        return head.encode() + answer

    def _now(self) -> str:
        second = int(time.time())
        if second != self._date_of:
            self._date, self._date_of = formatdate(second, usegmt=True), second
        return self._date


def may_become_report(data: bytes) -> bool:
    """Say whether this is the beginning of a report whose body is still on its way."""
    head = HEAD.match(data) if data.startswith(_START) else None
    if head is None or head.end() > MAX_HEAD_SIZE:
        return False
    size = size_of_body(data[: head.end()])
    return size is not None and len(data) - head.end() < size <= MAX_BODY_SIZE


def _heeded(fields: list[bytes]) -> dict[bytes, bytes] | None:
    """Return the values of the fields that matter; None: one is there twice, or one that is not known."""
    values: dict[bytes, bytes] = {}
    for field in fields:
        name, _, value = field.partition(b":")
        name = name.lower()
        if name in _HEEDED and name not in values:
            values[name] = value.strip()
        elif name not in _IDLE:
            return None
    return values


def _is_plain(values: dict[bytes, bytes]) -> bool:
    size = values.get(b"content-length", b"")
    return (
        b"host" in values
        and values.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        and values.get(b"content-type", b"").lower() in _MEDIA_TYPES
        and _SIZE.fullmatch(size) is not None
        and int(size) <= MAX_BODY_SIZE
    )
