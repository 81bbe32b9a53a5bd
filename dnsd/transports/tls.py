"""TLS between a connection and what is said on it.

To the network it is a protocol, to the conversation a transport: so a conversation begins, and counts among the
connections of its client, as soon as the connection is accepted, and the time that it has for its first query is that
of the handshake as well. It must not know what is said.

handshake ──done──► open ──close, end of our half──► closing (what arrives is dropped) ──► closed
    └──failed, closed──► closed                                                             ▲
                          open ──the client breaks TLS──────────────────────────────────────┘
"""

from __future__ import annotations

import asyncio
import enum
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from dnsd.transports.handshakes import Handshakes

# As much as a record holds (RFC 8446 §5.1). Unit: bytes.
READ_BYTES = 16_384


class _Stage(enum.Enum):
    HANDSHAKE = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()


class TlsLayer(asyncio.Transport, asyncio.Protocol):
    """TLS on one connection.

    Args:
        conversation: gets what is decrypted; to it, this is the transport.
        context: the server's side of TLS.
        handshakes: those of the worker.
    """

    def __init__(self, conversation: asyncio.Protocol, *, context: ssl.SSLContext, handshakes: Handshakes) -> None:
        super().__init__()
        self._conversation = conversation
        self._handshakes = handshakes
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._stage = _Stage.HANDSHAKE
        self._handed_on = False  # the conversation reads no more for now
        self._raw: asyncio.Transport

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell the conversation that it has begun."""
        self._raw = cast(asyncio.Transport, transport)  # a stream's loop gives no other
        self._conversation.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake, or hand on what can be decrypted."""
        if self._stage is _Stage.CLOSING:
            return
        self._incoming.write(data)
        if self._stage is _Stage.OPEN:
            self._read_on()
        else:
            self._raw.pause_reading()
            self._handshakes.enqueue(self._shake_hands)

    def eof_received(self) -> bool:
        """Let the conversation end; messages have lengths, so that the goodbye of TLS is not missed."""
        if self._stage is _Stage.OPEN:
            self._client_ended()
        return False

    def pause_writing(self) -> None:
        """Pass it on."""
        self._conversation.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._conversation.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        if self._stage is _Stage.HANDSHAKE:
            self._handshakes.results["unfinished"] += 1
        self._stage = _Stage.CLOSING
        self._conversation.connection_lost(exc)

    # What the conversation calls.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Tell what is known of the connection; `ssl_object` has the protocol that was agreed upon."""
        return self._tls if name == "ssl_object" else self._raw.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See `asyncio.WriteTransport`."""
        self._raw.set_write_buffer_limits(high=high, low=low)

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport`."""
        return self._stage is _Stage.CLOSING or self._raw.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self._stage is not _Stage.OPEN:
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError:
            self._break_off()
        else:
            self._flush()

    def pause_reading(self) -> None:
        """Keep what arrives from now on."""
        self._handed_on = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Go on, first with what was kept."""
        if self._handed_on:
            self._handed_on = False
            asyncio.get_running_loop().call_soon(self._go_on)

    def write_eof(self) -> None:
        """End our half, and drop what the client still sends."""
        self._say_goodbye()
        self._raw.write_eof()

    def close(self) -> None:
        """Send what is unsent, then close; in the middle of a handshake there is nothing to say."""
        if self._stage is _Stage.HANDSHAKE:
            self._raw.abort()
        else:
            self._say_goodbye()
            self._raw.close()

    def abort(self) -> None:
        """Close now."""
        self._raw.abort()

    # Its own work.

    def _shake_hands(self) -> None:
        if self.is_closing():
            return
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            self._raw.resume_reading()
        except ssl.SSLError:
            self._handshakes.results["failed"] += 1
            self._break_off()
        else:
            self._handshakes.results["ok"] += 1
            self._stage = _Stage.OPEN
            self._flush()
            self._go_on()

    def _go_on(self) -> None:
        if self._stage is _Stage.OPEN:
            self._read_on()
        if not self._handed_on:
            self._raw.resume_reading()

    def _read_on(self) -> None:
        """Hand on what can be decrypted, as far as the conversation takes it."""
        while self._stage is _Stage.OPEN and not self._handed_on:
            try:
                data = self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError:
                self._break_off()
                return
            if not data:
                self._client_ended()
                return
            self._conversation.data_received(data)
        self._flush()  # TLS has something to say itself at times: new keys, tickets

    def _client_ended(self) -> None:
        if not self._conversation.eof_received():
            self.close()

    def _break_off(self) -> None:
        """End at once; the library has written an alert that says why."""
        self._stage = _Stage.CLOSING
        self._flush()
        self._raw.close()

    def _say_goodbye(self) -> None:
        if self._stage is _Stage.OPEN:
            with suppress(ssl.SSLError):  # the client's own goodbye is not waited for
                self._tls.unwrap()
            self._flush()
        self._stage = _Stage.CLOSING

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())


def behind_tls(
    make: Callable[[str], asyncio.Protocol], *, context: Callable[[], ssl.SSLContext], handshakes: Handshakes
) -> Callable[[str], asyncio.Protocol]:
    """Return what puts TLS, with the context of that moment, before each conversation that is made."""
    return lambda client: TlsLayer(make(client), context=context(), handshakes=handshakes)
