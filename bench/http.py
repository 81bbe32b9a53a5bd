"""The admin interface's requests as bytes, made before they are sent so that sending them costs the machine little.

It knows what a report and a drain look like on the wire, and nothing of sockets.
"""

from __future__ import annotations

import re
import time

# Milliseconds since the epoch, as digits: it rises, and every request of a kind has one length. Unit: digits.
SEQUENCE_DIGITS = 13

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)

_REPORT = (
    '{"sequence": %s, "observed_at": "2026-01-01T00:00:00Z", "health": {"edge": "up"}, '
    '"sessions": {"edge": {"viewers": 120, "inputs": 2, "jobs": 0}}}'
)
_DRAIN = '{"reason": "bench", "expires_in": 3600}'


def report(node: str, port: int) -> tuple[bytes, bytes]:
    """Return a report's bytes before and after its sequence number."""
    body = _REPORT % ("0" * SEQUENCE_DIGITS)
    head = _head("POST", f"/v1/nodes/{node}/report", port, len(body))
    before, after = _REPORT.encode().split(b"%s")
    return head + before, after


def sequence() -> bytes:
    """Return the sequence number of a report that is sent now."""
    return b"%0*d" % (SEQUENCE_DIGITS, time.time_ns() // 1_000_000)


def drain(node: str, port: int) -> bytes:
    """Return the order to drain a node."""
    return _head("PUT", f"/v1/nodes/{node}/drain", port, len(_DRAIN)) + _DRAIN.encode()


def undrain(node: str, port: int) -> bytes:
    """Return the release of a node's drain."""
    return _head("DELETE", f"/v1/nodes/{node}/drain", port, 0)


def _head(method: str, path: str, port: int, length: int) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"Content-Type: application/json\r\nContent-Length: {length}"] if length else []
    return "\r\n".join([*lines, "\r\n"]).encode()


def take_response(buffer: bytearray) -> tuple[int, bytes] | None:
    """Take a response off the front of what was received.

    Returns:
        Its status and body, or None while it is not complete.

    Raises:
        ValueError: it is no response with a length.
    """
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    status, length = _STATUS.match(buffer), _LENGTH.search(buffer, 0, end)
    if status is None or length is None:
        raise ValueError(f"no response with a length: {bytes(buffer[:200])!r}")
    code, size = int(status[1]), end + 4 + int(length[1])
    if len(buffer) < size:
        return None
    body = bytes(buffer[end + 4 : size])
    del buffer[:size]
    return code, body
