"""HTTP/2 (RFC 9113) as DNS over HTTPS needs it: requests of one connection, many at a time.

Bytes in, bytes out: it must not know of sockets. h2 reads and writes the frames; what is asked is for `doh`.

Replies are made as soon as a request is whole, and wait for nothing but the client's flow control.
"""

from __future__ import annotations

import time
from contextlib import suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from dnsd.transports.doh import CONTENT_TOO_LARGE, MAX_BODY_BYTES, MAX_HEAD_BYTES, Doh, Reply, Request, refusal
from dnsd.transports.http2_frames import FrameWatch

# Requests that a client may have under way (RFC 9113 §6.5.2 recommends at least 100).
MAX_STREAMS = 100

# A stream's body may be one byte longer than it may be, so that it can be refused. Unit: bytes.
STREAM_WINDOW_BYTES = MAX_BODY_BYTES + 1

# Bodies that are not whole yet, of all streams of a connection: queries have some hundred bytes. Unit: bytes.
CONNECTION_WINDOW_BYTES = 2 * STREAM_WINDOW_BYTES

# What is read, and dropped, of a request that was refused, before its stream is reset. Unit: bytes.
MAX_DROPPED_BYTES = 1 << 20


class _Stream:
    """A request that is being received."""

    __slots__ = ("body", "dropped", "fields", "flow", "refused")

    def __init__(self, fields: dict[bytes, bytes]) -> None:
        self.fields = fields
        self.body = bytearray()
        self.flow = 0  # bytes of the client's window that it holds
        self.refused = False
        self.dropped = 0  # bytes that came nevertheless


class Http2:
    """One client's requests.

    Args:
        doh: answers them.
        max_requests: after so many, those that were reset included, the server ends the connection.
        max_unsent: replies that wait for the client's window; above it, requests are refused. Unit: bytes.

    Attributes:
        asked: requests that were answered.
        over: there is no more to be said.
    """

    def __init__(self, doh: Doh, *, max_requests: int, max_unsent: int) -> None:
        self.asked = 0
        self.over = False
        self._doh = doh
        self._max_requests = max_requests
        self._max_unsent = max_unsent
        self._begun = 0
        self._streams: dict[int, _Stream] = {}
        self._unsent: dict[int, bytes] = {}
        self._http = _new_connection()
        self._watch = FrameWatch(max_frame=self._http.max_inbound_frame_size, max_block=MAX_HEAD_BYTES)

    def receive(self, data: bytes) -> bytes:
        """Take what a client has sent; return what to send."""
        if not self._watch.allows(data):
            self._end(ErrorCodes.ENHANCE_YOUR_CALM)
            return self._http.data_to_send()
        try:
            events = self._http.receive_data(data)
        except ProtocolError:  # h2 has written why
            self.over = True
        else:
            # A request that its client has taken back by now is not answered.
            taken_back = {event.stream_id for event in events if isinstance(event, StreamReset)}
            for event in events:
                self._take(event, taken_back)
            self._send_unsent()
            if self._begun >= self._max_requests:
                self._end()
        return self._http.data_to_send()

    def goodbye(self) -> bytes:
        """Return what to send before the connection is closed."""
        if not self.over:
            self._end()
        return self._http.data_to_send()

    def _end(self, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        self.over = True
        with suppress(ProtocolError):
            self._http.close_connection(code)

    def _take(self, event: Event, taken_back: set[int]) -> None:
        match event:
            case RequestReceived():
                self._begin(event.stream_id, dict(event.headers))
            case DataReceived():
                self._add(event)
            case StreamEnded():
                if event.stream_id in self._streams:
                    stream = self._forget(event.stream_id)
                    if event.stream_id not in taken_back and not stream.refused:
                        self._answer(event.stream_id, stream)
            case StreamReset():
                self._unsent.pop(event.stream_id, None)
                if event.stream_id in self._streams:
                    self._forget(event.stream_id)
            case ConnectionTerminated():
                self.over = True
            case _:
                pass  # a wider window among them: what waits for it is looked at in any case

    def _begin(self, number: int, fields: dict[bytes, bytes]) -> None:
        self._begun += 1
        if sum(map(len, self._unsent.values())) > self._max_unsent:
            self._reset(number, ErrorCodes.REFUSED_STREAM)
        else:
            stream = self._streams[number] = _Stream(fields)
            if _length_of(fields) > MAX_BODY_BYTES:
                self._refuse(number, stream)

    def _add(self, event: DataReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:  # given up
            self._give_back(event.stream_id, event.flow_controlled_length)
        elif stream.refused:
            stream.dropped += len(event.data)
            self._give_back(event.stream_id, event.flow_controlled_length)
            if stream.dropped > MAX_DROPPED_BYTES:
                self._forget(event.stream_id)
                self._reset(event.stream_id, ErrorCodes.NO_ERROR)
        else:
            stream.body += event.data
            stream.flow += event.flow_controlled_length
            if len(stream.body) > MAX_BODY_BYTES:
                self._refuse(event.stream_id, stream)

    def _forget(self, number: int) -> _Stream:
        stream = self._streams.pop(number)
        self._give_back(number, stream.flow)
        return stream

    def _give_back(self, number: int, size: int) -> None:
        if size:
            with suppress(ProtocolError):
                self._http.acknowledge_received_data(size, number)

    def _answer(self, number: int, stream: _Stream) -> None:
        self.asked += 1
        fields = stream.fields
        request = Request(
            fields.get(b":method", b"").decode("latin-1"),
            fields.get(b":path", b"").decode("latin-1"),
            fields.get(b"content-type", b"").decode("latin-1"),
            bytes(stream.body),
        )
        self._send(number, self._doh.reply(request))

    def _refuse(self, number: int, stream: _Stream) -> None:
        """Say that a request is too large, and drop what is left of it.

        RFC 9113 §8.1 lets a server reset such a stream at once, but then clients in use lose the reply.
        """
        stream.refused = True
        stream.body.clear()
        self._give_back(number, stream.flow)
        stream.flow = 0
        self._send(number, refusal(CONTENT_TOO_LARGE, now=time.time()))

    def _reset(self, number: int, code: ErrorCodes) -> None:
        with suppress(ProtocolError):
            self._http.reset_stream(number, code)

    def _send(self, number: int, reply: Reply) -> None:
        with suppress(ProtocolError):  # the stream has just ended
            self._http.send_headers(number, [(":status", str(reply.status)), *reply.fields], end_stream=not reply.body)
            if reply.body:
                self._unsent[number] = reply.body
                self._send_body(number)

    def _send_unsent(self) -> None:
        for number in tuple(self._unsent):
            try:
                self._send_body(number)
            except ProtocolError:
                del self._unsent[number]

    def _send_body(self, number: int) -> None:
        """Send as much of a reply as the client's window allows."""
        body = self._unsent[number]
        while body:
            size = min(self._http.local_flow_control_window(number), self._http.max_outbound_frame_size, len(body))
            if size <= 0:
                self._unsent[number] = body
                return
            self._http.send_data(number, body[:size], end_stream=size == len(body))
            body = body[size:]
        del self._unsent[number]


def _new_connection() -> H2Connection:
    connection = H2Connection(H2Configuration(client_side=False, header_encoding=None))
    connection.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEAD_BYTES,
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
        },
    )
    connection.decoder.max_header_list_size = MAX_HEAD_BYTES
    connection.initiate_connection()
    connection.increment_flow_control_window(CONNECTION_WINDOW_BYTES - MAX_BODY_BYTES)
    return connection


def _length_of(fields: dict[bytes, bytes]) -> int:
    try:
        return int(fields.get(b"content-length", b"0"))
    except ValueError:  # h2 judges it
        return 0
