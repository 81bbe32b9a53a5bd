"""HTTP/1.1 (RFC 9112) as DNS over HTTPS needs it: requests of one connection, one after the other.

Bytes in, bytes out: it must not know of sockets. h11 reads and writes the messages; what is asked is for `doh`.
"""

from __future__ import annotations

import re
import time

import h11

from dnsd.transports.doh import BAD_REQUEST, CONTENT_TOO_LARGE, MAX_BODY_BYTES, MAX_HEAD_BYTES, Doh, Request, refusal

# RFC 9112 §3.2.2: a server "MUST accept the absolute-form in requests"; it has this before path and query.
_SCHEME_AND_AUTHORITY = re.compile(r"https?://[^/?]*", re.IGNORECASE)

_CONTENT_TYPE, _CONTENT_LENGTH = b"content-type", b"content-length"


class Http1:
    """One client's requests.

    Args:
        doh: answers them.
        max_requests: after so many, the server ends the connection.

    Attributes:
        asked: requests that were answered.
        over: there is no more to be said.
    """

    def __init__(self, doh: Doh, *, max_requests: int) -> None:
        self.asked = 0
        self.over = False
        self._doh = doh
        self._max_requests = max_requests
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._output = bytearray()

    def receive(self, data: bytes) -> bytes:
        """Take what a client has sent; return what to send."""
        try:
            self._http.receive_data(data)
            while not self.over and self._take(self._http.next_event()):
                pass
        except h11.RemoteProtocolError:
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self._send(BAD_REQUEST)
            self.over = True
        output = bytes(self._output)
        self._output.clear()
        return output

    def goodbye(self) -> bytes:
        """Return what to send before the connection is closed."""
        return b""

    def _take(self, event: h11.Event | type[h11.NEED_DATA | h11.PAUSED]) -> bool:
        """Take note of an event; returns whether another may be there."""
        match event:
            case h11.Request():
                self._head = event
                if _length_of(event) > MAX_BODY_BYTES:
                    self._send(CONTENT_TOO_LARGE)
                elif self._http.they_are_waiting_for_100_continue:
                    self._write(h11.InformationalResponse(status_code=100, headers=[]))
            case h11.Data():
                self._body += event.data
                if len(self._body) > MAX_BODY_BYTES:
                    self._send(CONTENT_TOO_LARGE)
            case h11.EndOfMessage() if self._head is not None:
                self._answer(self._head)
            case _:  # it needs more, or the client has ended
                return False
        return True

    def _answer(self, head: h11.Request) -> None:
        self.asked += 1
        request = Request(
            head.method.decode("ascii"),
            _target_of(head),
            dict(head.headers).get(_CONTENT_TYPE, b"").decode("latin-1"),
            bytes(self._body),
        )
        self._body.clear()
        reply = self._doh.reply(request)
        self._respond(reply.status, list(reply.fields), reply.body, ends=self.asked >= self._max_requests)

    def _send(self, status: int) -> None:
        """Refuse a request that was not read to its end; what follows in the connection cannot be told apart."""
        reply = refusal(status, now=time.time())
        self._respond(reply.status, list(reply.fields), reply.body, ends=True)

    def _respond(self, status: int, fields: list[tuple[str, str]], body: bytes, *, ends: bool) -> None:
        if ends:
            fields.append(("connection", "close"))
        self._write(h11.Response(status_code=status, headers=fields))
        if body and (self._head is None or self._head.method != b"HEAD"):  # RFC 9110 §9.3.2
            self._write(h11.Data(data=body))
        self._write(h11.EndOfMessage())
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._head = None
        else:
            self.over = True

    def _write(self, event: h11.Event) -> None:
        self._output += self._http.send(event) or b""


def _target_of(request: h11.Request) -> str:
    target = request.target.decode("ascii")
    absolute = _SCHEME_AND_AUTHORITY.match(target)
    return target[absolute.end() :] if absolute else target


def _length_of(request: h11.Request) -> int:
    return int(dict(request.headers).get(_CONTENT_LENGTH, b"0"))
