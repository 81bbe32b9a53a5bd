"""A question to a secondary and its answer: over UDP, over TCP where that is truncated, signed where there is a key.

It owns what makes an answer one that can be believed (RFC 5452 §9, RFC 8945 §5.3), and no more: what is asked, how
often and what follows is for its callers.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.tsig

from dnsd.config.transfer import Secondary, TransferKey
from dnsd.errors import PeerError
from dnsd.model.endpoint import Endpoint

# What a datagram can hold. Unit: bytes.
MAX_DATAGRAM = 65_535

# How long a connection and the answer over it may take. Unit: seconds.
TCP_SECONDS = 5.0

# In a header (RFC 1035 §4.1.1).
_RCODE, _ARCOUNT = 3, slice(10, 12)

# What a peer has against a signature, by the names of RFC 8945 §3, which other servers' logs have as well.
_OBJECTIONS: dict[type[dns.tsig.PeerError], str] = {
    dns.tsig.PeerBadKey: "BADKEY, it has no key of this name and algorithm",
    dns.tsig.PeerBadSignature: "BADSIG, its secret is another one",
    dns.tsig.PeerBadTime: "BADTIME, the clocks differ",
    dns.tsig.PeerBadTruncation: "BADTRUNC",
}

# How it ended without an answer, as it is counted.
TIMEOUT, UNREACHABLE, BAD = "timeout", "unreachable", "bad"


class NoAnswer(PeerError):
    """A question without an answer that can be believed.

    Args:
        result: `TIMEOUT`, `UNREACHABLE` or `BAD`.
        why: for people, as it stands in brackets.
    """

    def __init__(self, result: str, why: str) -> None:
        super().__init__(why)
        self.result = result


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondent:
    """Whom to ask, and as whom.

    Args:
        address: where the secondary answers.
        key: what both sides sign with; None: nothing is signed.
        source: address that the questions come from; None: the kernel's choice.
    """

    address: Endpoint
    key: TransferKey | None
    source: str | None

    async def ask(self, query: dns.message.Message, *, timeout_seconds: float) -> dns.message.Message:
        """Return the answer to a question, whatever its RCODE.

        Args:
            query: not signed yet; it is signed here.
            timeout_seconds: for the answer over UDP.

        Raises:
            NoAnswer: there is none that can be believed.
        """
        _sign(query, self.key)
        wire = query.to_wire()
        response = await self._ask_over_udp(query, wire, timeout_seconds)
        if response.flags & dns.flags.TC:
            response = await self._ask_over_tcp(query, wire)
        return response

    async def _ask_over_udp(
        self, query: dns.message.Message, wire: bytes, timeout_seconds: float
    ) -> dns.message.Message:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self.address.host else socket.AF_INET
        fault: NoAnswer | None = None
        # A socket of its own: the kernel's choice of a port is one thing more to guess for whoever would forge.
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            try:
                if self.source is not None:
                    sock.bind((self.source, 0))
                sock.connect(self.address)
                async with asyncio.timeout(timeout_seconds):
                    await loop.sock_sendall(sock, wire)
                    while True:
                        packet = await loop.sock_recv(sock, MAX_DATAGRAM)
                        try:
                            return _read(query, packet)
                        except NoAnswer as error:  # RFC 8945 §5.3.2: a good one may still come
                            fault = error
            except TimeoutError:
                raise fault or NoAnswer(TIMEOUT, f"no answer within {timeout_seconds:g} s") from None
            except OSError as error:
                raise NoAnswer(UNREACHABLE, error.strerror or type(error).__name__) from None

    async def _ask_over_tcp(self, query: dns.message.Message, wire: bytes) -> dns.message.Message:
        local = None if self.source is None else (self.source, 0)
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(TCP_SECONDS):
                reader, writer = await asyncio.open_connection(*self.address, local_addr=local)
                writer.write(len(wire).to_bytes(2, "big") + wire)
                size = int.from_bytes(await reader.readexactly(2), "big")
                return _read(query, await reader.readexactly(size))
        except TimeoutError:
            raise NoAnswer(TIMEOUT, f"no answer over TCP within {TCP_SECONDS:g} s") from None
        except asyncio.IncompleteReadError:
            raise NoAnswer(BAD, "it ended the TCP connection without an answer") from None
        except OSError as error:
            raise NoAnswer(UNREACHABLE, f"over TCP: {error.strerror or type(error).__name__}") from None
        finally:
            if writer is not None:
                writer.transport.abort()


def correspondent_of(secondary: Secondary, listen: Sequence[Endpoint]) -> Correspondent | None:
    """Return how to ask a secondary; None: it has no address.

    Args:
        listen: where it asks us. It should hear from that address too: it judges NOTIFY by where it comes from
            (RFC 1996 §3.10), and a machine may have several.
    """
    if secondary.address is None:
        return None
    version = ip_address(secondary.address.host).version
    own = (ip_address(each.host) for each in listen)
    source = next((str(each) for each in own if each.version == version and not each.is_unspecified), None)
    return Correspondent(address=secondary.address, key=secondary.key, source=source)


def _sign(query: dns.message.Message, key: TransferKey | None) -> None:
    if key is not None:
        name = dns.name.from_wire(key.name, 0)[0]
        ring = {name: dns.tsig.Key(name, key.secret, key.algorithm)}
        query.use_tsig(ring, keyname=name, algorithm=dns.name.from_text(key.algorithm))


def _read(query: dns.message.Message, packet: bytes) -> dns.message.Message:
    """Return a packet as the answer to a question.

    Raises:
        NoAnswer: it is none.
    """
    if query.keyring is not None and len(packet) > _RCODE and packet[_ARCOUNT] == b"\0\0":
        rcode = dns.rcode.to_text(dns.rcode.Rcode(packet[_RCODE] & 0x0F))
        raise NoAnswer(BAD, f"its answer {rcode} is not signed")
    try:
        answer = dns.message.from_wire(packet, keyring=query.keyring, request_mac=query.mac)
    except dns.tsig.PeerError as error:
        objection = _OBJECTIONS.get(type(error), str(error))
        raise NoAnswer(BAD, f"it does not take the signature: {objection}") from None
    except (dns.exception.DNSException, ValueError) as error:
        raise NoAnswer(BAD, f"what came is no good answer: {error or type(error).__name__}") from None
    if not answer.flags & dns.flags.QR or answer.id != query.id or answer.opcode() != query.opcode():
        raise NoAnswer(BAD, "what came is no answer to this question")
    # RFC 1035 §4.1.1: one that could not read the question may leave it out.
    if answer.question != query.question and (answer.question or answer.rcode() == dns.rcode.NOERROR):
        raise NoAnswer(BAD, "what came is an answer to another question")
    return answer
