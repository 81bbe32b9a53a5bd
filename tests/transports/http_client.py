"""What is asked over HTTPS without sockets, and a client of HTTP/2."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes

from dnsd.core.via import Transport, Via
from dnsd.transports.doh import MEDIA_TYPE, Doh
from dnsd.transports.http2 import Http2
from tests.support.dnsmessages import NOW, engine_of, query, zone_of

ENGINE = engine_of(zone_of("@ NS ns1\nwww 120 A 192.0.2.1\nbig 300 TXT " + '"' + "x" * 250 + '"'))
QUERY = query("www.example.org. A")
VIA = Via(Transport.HTTPS)
ANSWER = ENGINE.respond(QUERY, now=NOW, via=VIA, peer="") or b""
POST = {"content-type": MEDIA_TYPE}


def doh() -> Doh:
    return Doh(ENGINE, via=VIA, path="/dns-query", client="198.51.100.7")


def coded(message: bytes) -> str:
    return base64.urlsafe_b64encode(message).rstrip(b"=").decode()


def get(message: bytes = QUERY) -> str:
    return f"/dns-query?dns={coded(message)}"


class Client2:
    """A client that speaks HTTP/2 properly."""

    def __init__(self, *, window: int = 65_535, **options: Any) -> None:
        self.server = Http2(doh(), **{"max_requests": 1000, "max_unsent": 65_536, **options})
        self.http = H2Connection(H2Configuration(client_side=True))
        self.http.initiate_connection()
        if window != 65_535:
            self.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.status: dict[int, int] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.gone: int | None = None

    def ask(
        self,
        method: str = "GET",
        target: str = "",
        body: bytes = b"",
        *,
        end: bool = True,
        fields: Mapping[str, str] | None = None,
    ) -> int:
        stream = self.http.get_next_available_stream_id()
        head = [(":method", method), (":path", target or get()), (":scheme", "https"), (":authority", "ns1")]
        head += (fields or {}).items()
        self.http.send_headers(stream, head, end_stream=end and not body)
        if body:
            self.http.send_data(stream, body, end_stream=end)
        return stream

    def go(self) -> None:
        """Exchange until neither has anything to say."""
        while data := self.http.data_to_send():
            self.take(self.server.receive(data))

    def take(self, data: bytes) -> None:
        """Read what a server has sent."""
        for event in self.http.receive_data(data):
            match event:
                case ResponseReceived():
                    self.status[event.stream_id] = int(dict(event.headers)[b":status"])
                case DataReceived():
                    self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                case StreamEnded():
                    self.ended.add(event.stream_id)
                case StreamReset():
                    self.reset[event.stream_id] = int(event.error_code or 0)
                case ConnectionTerminated():
                    self.gone = int(event.error_code or 0)
