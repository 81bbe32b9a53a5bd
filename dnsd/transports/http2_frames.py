"""Frames of HTTP/2 as they pass by: whether a client says how much is to come, and that is too much.

h2 waits for the whole of a frame before it looks at its length, which may be 16 MiB, and for a megabyte of a request's
fields. So they are judged here, from the first bytes of each frame. And frames that ask nothing are counted: each
costs as much as a part of a request.
"""

from __future__ import annotations

PREFACE_BYTES = 24  # RFC 9113 §3.4

_HEAD_BYTES = 9  # RFC 9113 §4.1: length, type, flags, stream
_STREAM_MASK = 0x7FFF_FFFF
_DATA, _HEADERS, _CONTINUATION = 0, 1, 9

# Frames of a connection that are neither the beginning of a request nor a part of its body: some to begin with, and
# some more for each request. Clients send one or two with each: a window, an acknowledgement, a ping.
OTHER_FRAMES = 100
OTHER_FRAMES_PER_REQUEST = 10


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
        self._last_stream = 0
        self._others_left = OTHER_FRAMES

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
        stream = int.from_bytes(self._head[5:], "big") & _STREAM_MASK
        self._head.clear()
        self._to_skip = length
        if kind == _HEADERS:
            self._block = length
        elif kind == _CONTINUATION:
            self._block += length
        self._count(length, kind, stream)
        return length <= self._max_frame and self._block <= self._max_block and self._others_left >= 0

    def _count(self, length: int, kind: int, stream: int) -> None:
        if kind == _HEADERS and stream > self._last_stream:  # a request; on a stream from before it begins none
            self._last_stream = stream
            self._others_left += OTHER_FRAMES_PER_REQUEST
        elif kind != _DATA or not length:
            self._others_left -= 1
