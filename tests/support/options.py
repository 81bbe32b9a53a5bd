"""Queries with EDNS options, and the options of a response as tests write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.rcode

from dnsd.core.engine import Engine
from dnsd.core.via import UDP, Transport, Via
from tests.support.dnsmessages import NOW, PEER, decode, shown

NSID, COOKIE, KEEPALIVE, PADDING = 3, 10, 11, 12

TCP = Via(Transport.TCP, idle_seconds=10.0)
TLS = Via(Transport.TLS, idle_seconds=10.0)
HTTPS = Via(Transport.HTTPS)

Option = tuple[int, bytes]


class Reply(NamedTuple):
    """A response, decoded.

    Args:
        wire: as it was sent.
        text: RCODE, flags and sections, as `shown` writes them; empty: no response came.
        options: of its OPT, as `said` writes them; None: it has no OPT.
    """

    wire: bytes
    text: str
    options: list[str] | None

    @property
    def cookie(self) -> bytes:
        """The data of its COOKIE option."""
        assert self.options is not None
        (text,) = [option for option in self.options if option.startswith("COOKIE ")]
        return bytes.fromhex(text.removeprefix("COOKIE "))


def packet(question: str, options: Sequence[Option] = (), *, version: int = 0, udp_size: int = 1232) -> bytes:
    """Return a query `name type` or `name class type` with these options, in this order; an empty one asks nothing."""
    message = dns.message.Message(id=0x1234)
    if question:
        name, *rdclass, rdtype = question.split()
        message = dns.message.make_query(name, rdtype, rdclass[0] if rdclass else "IN", id=0x1234)
    given: list[dns.edns.Option] = [
        dns.edns.GenericOption(dns.edns.OptionType.make(code), data) for code, data in options
    ]
    message.use_edns(version, payload=udp_size, options=given)
    return message.to_wire()


def ask(
    engine: Engine,
    question: str,
    *options: Option,
    via: Via = UDP,
    peer: str = PEER,
    now: float = NOW,
    udp_size: int = 1232,
) -> Reply:
    """Ask an engine; an answer must come."""
    return reply(engine, packet(question, options, udp_size=udp_size), via=via, peer=peer, now=now)


def reply(engine: Engine, sent: bytes, *, via: Via = UDP, peer: str = PEER, now: float = NOW) -> Reply:
    """Hand a packet to an engine; an answer must come."""
    wire = engine.respond(sent, now=now, via=via, peer=peer)
    assert wire is not None
    return read(wire)


def read(wire: bytes) -> Reply:
    """Decode a response."""
    message = decode(wire)
    options = [said(option) for option in message.options] if message.edns >= 0 else None
    return Reply(wire, shown(message), options)


def said(option: dns.edns.Option) -> str:
    """Write an option: `NSID ns1`, `COOKIE 0123…`, `KEEPALIVE 100`, `PADDING 12`, `EDE 20 text`."""
    data = option.to_wire()
    assert data is not None
    match option.otype:
        case 3:
            return f"NSID {data.decode()}"
        case 10:
            return f"COOKIE {data.hex()}"
        case 11:
            return f"KEEPALIVE {int.from_bytes(data)}"
        case 12:
            assert not any(data)
            return f"PADDING {len(data)}"
        case 15:
            return f"EDE {int.from_bytes(data[:2])} {data[2:].decode()}".rstrip()
    return f"OPTION {int(option.otype)} {data.hex()}".rstrip()
