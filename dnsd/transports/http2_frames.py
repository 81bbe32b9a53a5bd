"""Frames of HTTP/2 as they pass by: whether a client says how much is to come, and that is too much.

h2 waits for the whole of a frame before it looks at its length, which may be 16 MiB, and for a megabyte of a request's
fields. So they are judged here, from the first bytes of each frame.
"""

from __future__ import annotations

PREFACE_BYTES = 24  # RFC 9113 §3.4

_HEAD_BYTES = 9  # RFC 9113 §4.1: length, type, flags, stream
_HEADERS, _CONTINUATION = 1, 9


class FrameWatch:
    """Follows what a client sends.

    Args:
        max_frame: of one frame. Unit: bytes.
        max_block: of a request's fields as they are sent, in one frame or several. Unit: bytes.
    """

    def __init__(self, *, max_frame: int, max_block: int) -> None:
        self._max_frame = max_frame
        self._max_block = max_block
        self._head = bytearray()
        self._to_skip = PREFACE_BYTES
        self._block = 0

    def allows(self, data: bytes) -> bool:
        """Say whether the frames that begin in some bytes, which follow those from before, are within bounds."""
        at = 0
        while at < len(data):
            if self._to_skip:
                step = min(self._to_skip, len(data) - at)
                self._to_skip -= step
                at += step
                continue
            wanted = _HEAD_BYTES - len(self._head)
            self._head += data[at : at + wanted]
            at += wanted
            if len(self._head) == _HEAD_BYTES and not self._begin_frame():
                return False
        return True

    def _begin_frame(self) -> bool:
        length, kind = int.from_bytes(self._head[:3], "big"), self._head[3]
        self._head.clear()
        self._to_skip = length
        if kind == _HEADERS:
            self._block = length
        elif kind == _CONTINUATION:
            self._block += length
        return length <= self._max_frame and self._block <= self._max_block
