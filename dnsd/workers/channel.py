"""The channel between the control process and one worker: messages over a pair of connected Unix sockets.

Owns framing and pickling. Both ends are our own processes, and nobody else can reach the pair, so that unpickling is
safe here. It must not know what the messages mean.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

_LENGTH = struct.Struct("!I")


def encode(message: object) -> bytes:
    """Return a message as `Channel.send_encoded` takes it; for one that goes to several workers."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class Channel(asyncio.Protocol):
    """One end of a channel.

    Args:
        on_message: called with each message, in order.
        on_closed: called once, when the other end has closed or is gone, or with what a message did wrong here; not
            after `close`.
    """

    def __init__(self, on_message: Callable[[Any], None], *, on_closed: Callable[[Exception | None], None]) -> None:
        self._on_message = on_message
        self._on_closed = on_closed
        self._received = bytearray()
        self._closing = False
        self._transport: asyncio.Transport

    @classmethod
    async def over(
        cls, sock: socket.socket, *, on_message: Callable[[Any], None], on_closed: Callable[[Exception | None], None]
    ) -> Channel:
        """Take over a connected Unix socket."""
        channel = cls(on_message, on_closed=on_closed)
        await asyncio.get_running_loop().create_unix_connection(lambda: channel, sock=sock)
        return channel

    def send(self, message: object) -> None:
        """Queue a message; it is lost where the other end is gone, which `on_closed` tells."""
        self.send_encoded(encode(message))

    def send_encoded(self, data: bytes) -> None:
        """Queue what `encode` returned."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Send what is queued, then close."""
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._closing = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Hand on each message that is complete."""
        received = self._received
        received += data
        start = 0
        while len(received) >= start + _LENGTH.size and not self._closing:
            (size,) = _LENGTH.unpack_from(received, start)
            end = start + _LENGTH.size + size
            if len(received) < end:
                break
            message = pickle.loads(bytes(received[start + _LENGTH.size : end]))  # noqa: S301  (our own process)
            start = end
            self._on_message(message)
        del received[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if not self._closing:
            self._closing = True
            self._on_closed(exc)
