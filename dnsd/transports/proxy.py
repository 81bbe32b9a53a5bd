"""The PROXY protocol, version 2: for whom a proxy in front of us speaks (HAProxy's proxy-protocol.txt, §2.2).

Owns the header that stands before a datagram or at the beginning of a connection, and the list of those who must send
it: its address counts as the client's, so that nobody else may. It must not know what follows.

    12 bytes          1                  1                     2        length bytes
    signature | version, command | family, transport | length | addresses, ports, TLVs
"""

from __future__ import annotations

import ipaddress
import struct
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from dnsd.core.via import Via
from dnsd.transports.responder import Responder

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED_BYTES = 16
_FIXED = struct.Struct("!12sBBH")

# Addresses take up to 216 bytes; the rest are TLVs, of which the largest in use are names of 255 bytes. Unit: bytes.
MAX_HEADER_BYTES = 2048

# Addresses of which it is remembered whether they are a proxy's; then it begins anew.
MAX_REMEMBERED = 4096

_LOCAL, _PROXY = 0x20, 0x21
_IPV4, _IPV6, _HIGHEST_FAMILY = 1, 2, 3
_HIGHEST_TRANSPORT = 2
_ADDRESS_BYTES = {_IPV4: 4, _IPV6: 16}
_BLOCK_BYTES = {_IPV4: 12, _IPV6: 36}  # two addresses and two ports


class NotAHeaderError(ValueError):
    """What stands where the header must is none."""


class ProxyHeader(NamedTuple):
    """A header.

    Args:
        size: bytes of it, all included.
        client: IP address of the client, in text; empty: the proxy speaks for itself, or for nobody who has one.
    """

    size: int
    client: str


def read_header(data: bytes | bytearray) -> ProxyHeader | None:
    """Read the header that some bytes begin with.

    Returns:
        The header; None: it is not whole yet.

    Raises:
        NotAHeaderError: they begin with something else.
    """
    if len(data) < FIXED_BYTES:
        if SIGNATURE.startswith(data[: len(SIGNATURE)]):
            return None
        raise NotAHeaderError("no signature")
    signature, command, kind, length = _FIXED.unpack_from(data)
    family, transport = kind >> 4, kind & 0xF
    if signature != SIGNATURE:
        raise NotAHeaderError("no signature")
    if command not in (_LOCAL, _PROXY) or family > _HIGHEST_FAMILY or transport > _HIGHEST_TRANSPORT:
        # "Other values ... Receivers must drop connections presenting unexpected values here."
        raise NotAHeaderError("another version, command or family")
    size = FIXED_BYTES + length
    if size > MAX_HEADER_BYTES:
        raise NotAHeaderError("too long")
    # LOCAL: "The receiver must accept this connection as valid and must use the real connection endpoints and discard
    # the protocol block including the family which is ignored."
    has_client = command == _PROXY and family in _BLOCK_BYTES
    if has_client and length < _BLOCK_BYTES[family]:
        raise NotAHeaderError("too short for its addresses")
    if len(data) < size:
        return None
    if not has_client:
        return ProxyHeader(size, "")
    return ProxyHeader(size, _text_of(bytes(data[FIXED_BYTES : FIXED_BYTES + _ADDRESS_BYTES[family]])))


def _text_of(packed: bytes) -> str:
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


class Proxies:
    """Who must say for whom it speaks.

    Args:
        networks: in CIDR form, or single addresses.

    Attributes:
        refused: datagrams (`udp`) and connections (`tcp`, whatever is said on them) of theirs without a good header.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(text) for text in networks)
        self._remembered: dict[str, bool] = {}
        self.refused: Counter[str] = Counter()

    def __contains__(self, peer: str) -> bool:
        known = self._remembered.get(peer)
        if known is None:
            known = self._is_listed(peer)
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[peer] = known
        return known

    def _is_listed(self, peer: str) -> bool:
        if not peer:  # it has gone by now
            return False
        address = ipaddress.ip_address(peer.partition("%")[0])
        return any(address in network for network in self._networks)


class ProxiedResponder:
    """Takes the header off each datagram of a proxy; those of others go through as they are.

    Args:
        responder: answers what is behind the header.
        proxies: who must send one.
    """

    def __init__(self, responder: Responder, proxies: Proxies) -> None:
        self._respond = responder.respond
        self._proxies = proxies

    def respond(self, packet: bytes, *, now: float, via: Via, peer: str) -> bytes | None:
        """See `Responder.respond`."""
        if peer not in self._proxies:
            return self._respond(packet, now=now, via=via, peer=peer)
        try:
            header = read_header(packet)
        except NotAHeaderError:
            header = None
        if header is None:
            self._proxies.refused["udp"] += 1
            return None
        return self._respond(packet[header.size :], now=now, via=via, peer=header.client or peer)
