"""One client's connection over HTTPS: which HTTP is spoken on it, and how much of it at a time.

It owns no byte of HTTP. Only where HTTPS is configured is it imported, and with it the libraries that it needs.
"""

from __future__ import annotations

from typing import Protocol

from dnsd.core.via import Via
from dnsd.transports.conversation import ConnectionKeeper, Conversation, Turn
from dnsd.transports.doh import Doh
from dnsd.transports.http1 import Http1
from dnsd.transports.http2 import Http2
from dnsd.transports.limits import TcpLimits
from dnsd.transports.responder import Responder

# A turn ends after so many requests, at 0.1 to 0.2 ms each; what else is read in it is bounded in bytes.
REQUESTS_PER_TURN = 4
BYTES_PER_TURN = 1024

# Read at once, before requests are counted: some ten of the smallest, of HTTP/2. Unit: bytes.
BYTES_PER_STEP = 128


class Http(Protocol):
    """A version of HTTP: bytes in, bytes out.

    Attributes:
        asked: requests that were answered.
        over: there is no more to be said.
    """

    asked: int
    over: bool

    def receive(self, data: bytes) -> bytes:
        """Take what a client has sent; return what to send."""

    def goodbye(self) -> bytes:
        """Return what to send before the connection is closed."""


class HttpsConnection(Conversation):
    """One client's connection, behind TLS.

    Args:
        responder: answers each message.
        keeper: keeps all connections of the worker.
        via: what the connection is.
        path: where queries are taken.
        limits: see `TcpLimits`; a request counts as a query.
        client: see `Conversation`.
    """

    def __init__(
        self,
        responder: Responder,
        keeper: ConnectionKeeper,
        *,
        via: Via,
        path: str,
        limits: TcpLimits,
        client: str = "",
    ) -> None:
        super().__init__(keeper, limits=limits, client=client)
        self._responder = responder
        self._via = via
        self._path = path
        self._http: Http | None = None

    def close(self) -> None:
        """See `Connection.close`."""
        if self._http is not None and not self._finishing:
            self._transport.write(self._http.goodbye())
        super().close()

    def _converse(self) -> Turn:
        """See `Conversation._converse`."""
        http = self._http = self._http or self._begin()
        received, output, used, asked = self._received, bytearray(), 0, http.asked
        end = min(len(received), BYTES_PER_TURN)
        while used < end and http.asked < asked + REQUESTS_PER_TURN and not http.over:
            step = min(BYTES_PER_STEP, end - used)
            output += http.receive(bytes(received[used : used + step]))
            used += step
        return bytes(output), used, http.asked > asked, http.over

    def _has_more(self) -> bool:
        """See `Conversation._has_more`."""
        return len(self._received) > 0

    def _begin(self) -> Http:
        doh = Doh(self._responder, via=self._via, path=self._path, client=self.client)
        tls = self._transport.get_extra_info("ssl_object")
        # A client that names no protocol speaks HTTP/1.1 (RFC 9113 §3.3: with HTTP/2, it must name it).
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            return Http2(doh, max_requests=self._limits.queries_per_connection, max_unsent=self._limits.unsent_bytes)
        return Http1(doh, max_requests=self._limits.queries_per_connection)
