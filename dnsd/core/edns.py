"""EDNS(0): the OPT record of a query, and the one of its response (RFC 6891).

Options are checked for their lengths and kept raw: what they mean is for `options`. Seam: client subnet.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from dnsd.core.constants import FORMERR, OPT
from dnsd.core.limits import MAX_UDP_SIZE
from dnsd.core.wire import WireRecord
from dnsd.errors import MessageError

DO = 0x8000  # RFC 3225; in the lower half of the OPT's TTL
SUPPORTED_VERSION = 0

OPTION_HEADER = struct.Struct("!HH")  # code and length

_OPT_FIXED = struct.Struct("!BHHBBHH")  # root, type, size, extended RCODE, version, flags, RDLENGTH
_LENGTH = struct.Struct("!H")
OPT_SIZE = _OPT_FIXED.size  # bytes, without options


class Edns(NamedTuple):
    """What a query's OPT says.

    Args:
        udp_size: bytes, as sent; values below 512 mean 512 (RFC 6891 §6.2.3).
        version: 0, or one that we answer BADVERS to.
        dnssec_ok: the DO bit.
        options: RDATA as sent.
    """

    udp_size: int
    version: int
    dnssec_ok: bool
    options: bytes


def read_opt(packet: bytes, record: WireRecord) -> Edns:
    """Read the OPT record of a query.

    Raises:
        MessageError: FORMERR; it is not owned by the root, or its options overrun each other.
    """
    # RFC 6891 §6.1.2: "NAME MUST be 0 (root domain)".
    if packet[record.start] != 0:
        raise MessageError(FORMERR, "OPT that is not owned by the root")
    version = record.ttl >> 16 & 0xFF
    # What follows in a later version is not ours to judge: BADVERS comes first.
    if version == SUPPORTED_VERSION and record.end != record.rdata:
        _check_options(packet, record.rdata, record.end)
    return Edns(record.rdclass, version, bool(record.ttl & DO), packet[record.rdata : record.end])


def _check_options(packet: bytes, offset: int, end: int) -> None:
    while offset < end:
        if offset + 4 > end:
            raise MessageError(FORMERR, "truncated EDNS option")
        offset += 4 + (packet[offset + 2] << 8 | packet[offset + 3])
    if offset > end:
        raise MessageError(FORMERR, "EDNS option that overruns its OPT")


def write_option(code: int, data: bytes) -> bytes:
    """Return an option as it stands in an OPT."""
    return OPTION_HEADER.pack(code, len(data)) + data


def write_opt(*, dnssec_ok: bool, rcode: int = 0, options: bytes = b"") -> bytes:
    """Return the OPT of a response.

    Args:
        dnssec_ok: copied from the query (RFC 3225 §3).
        rcode: the whole RCODE; its upper eight bits go into the OPT (RFC 6891 §6.1.3).
        options: as they stand in the OPT.
    """
    flags = DO if dnssec_ok else 0
    return _OPT_FIXED.pack(0, OPT, MAX_UDP_SIZE, rcode >> 4, SUPPORTED_VERSION, flags, len(options)) + options


# Nearly every response carries one of these two.
_PLAIN = (write_opt(dnssec_ok=False), write_opt(dnssec_ok=True))


def opt_for(edns: Edns | None, rcode: int, options: bytes = b"") -> bytes:
    """Return the OPT that answers a query: none where it had none (RFC 6891 §6.1.1).

    Args:
        edns: the query's.
        rcode: the response's, whole.
        options: what the response says besides.
    """
    if edns is None:
        return b""
    if rcode < 16 and not options:
        return _PLAIN[edns.dnssec_ok]
    return write_opt(dnssec_ok=edns.dnssec_ok, rcode=rcode, options=options)


def lengthened(opt: bytes, options: bytes) -> bytes:
    """Return an OPT of ours with more options in it."""
    there = opt[OPT_SIZE:]
    return opt[: OPT_SIZE - _LENGTH.size] + _LENGTH.pack(len(there) + len(options)) + there + options
