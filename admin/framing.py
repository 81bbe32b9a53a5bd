"""Where requests begin and end in the bytes of a connection, as far as RFC 9112 makes that simple.

It must come to the same end as aiohttp's parser wherever it knows an end at all: what it calls the beginning of a
request is read as one. So whatever is not plain makes it give up, for as long as the connection lasts.
"""

from __future__ import annotations

import re

# The largest head that is waited for. Unit: bytes.
MAX_HEAD_SIZE = 4096

# What ends a head.
END_OF_HEAD = b"\r\n\r\n"

# A request line and fields as RFC 9112 §3 and §5 would like them.
HEAD = re.compile(rb"[A-Z]+ /[!-~]* HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ -~\t]*\r\n)+\r\n")

_SIZE = re.compile(rb"[0-9]{1,6}")
_FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|upgrade|expect):([^\r]*)", re.IGNORECASE)

# RFC 9110 §9.3.6: a CONNECT request has no content; what its Content-Length counts, aiohttp reads as the next request.
_TUNNEL = b"CONNECT "


def size_of_body(head: bytes) -> int | None:
    """Return the size of the body behind a head; None: it is not as simple as a Content-Length, or the lack of any."""
    found = _FRAMING.findall(head)
    if not found:
        return 0
    name, value = found[0]
    if len(found) > 1 or name.lower() != b"content-length" or not _SIZE.fullmatch(value.strip()):
        return None
    return int(value)


class Boundary:
    """Follows the bytes of a connection from one request to the next, in whatever parts they come.

    Attributes:
        lost: it has given up; nothing is known of where a request begins any more.
    """

    __slots__ = ("_head", "_owed", "lost")

    def __init__(self) -> None:
        self.lost = False
        self._head = b""  # of which the end has not come
        self._owed = 0  # bytes of a body that are still to come

    @property
    def is_here(self) -> bool:
        """Say whether a request begins with the next byte, for sure."""
        return not (self.lost or self._head or self._owed)

    def pass_over(self, data: bytes) -> None:
        """Take note of bytes that have come."""
        if self.lost:
            return
        if self._head:
            data, self._head = self._head + data, b""
        place = self._owed
        while place < len(data):
            head = HEAD.match(data, place)
            if head is None:
                self._begin_head(data[place:])
                break
            size = size_of_body(head[0])
            if size is None or head[0].startswith(_TUNNEL):
                self.lost = True
                break
            place = head.end() + size
        self._owed = max(0, place - len(data))

    def _begin_head(self, data: bytes) -> None:
        if END_OF_HEAD in data or len(data) > MAX_HEAD_SIZE:
            self.lost = True
        else:
            self._head = data
