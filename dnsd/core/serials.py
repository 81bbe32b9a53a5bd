"""Serial numbers of zones, which go round (RFC 1982), and where an SOA has its own.

A store gives even ones, and a server that cannot ask it makes odd ones: so none of those is ever one of these, with
other records.
"""

from __future__ import annotations

SERIALS = 1 << 32  # RFC 1035 §3.3.13: the SOA's SERIAL has 32 bits
_HALF = 1 << 31

# Where the SERIAL begins and ends in RDATA, from its end: four more numbers follow (RFC 1035 §3.3.13).
_BEGIN, _END = -20, -16


def is_newer(serial: int, than: int) -> bool:
    """Say whether a serial is greater (RFC 1982 §3.2); of two that are half the way apart, neither is."""
    return 0 < (serial - than) % SERIALS < _HALF


def beyond(serial: int, wanted: int, *, by: int = 1) -> int:
    """Return the serial that is so many ahead, or a wanted one that is newer than that and than the serial itself.

    Args:
        by: 0 or more; far less than half of all.
    """
    ahead = (serial + by) % SERIALS
    return wanted if is_newer(wanted, ahead) and is_newer(wanted, serial) else ahead


def given_by_store(serial: int) -> int:
    """Return a serial, or where it is odd the one that follows."""
    return (serial + serial % 2) % SERIALS


def made_alone(serial: int) -> int:
    """Return a serial, or where it is even the one that follows."""
    return serial | 1


def newest(first: int, *others: int) -> int:
    """Return the greatest of serials; of two that are half the way apart, the one that comes first."""
    found = first
    for serial in others:
        if is_newer(serial, found):
            found = serial
    return found


def serial_of(soa: bytes) -> int:
    """Return the serial in the RDATA of an SOA."""
    return int.from_bytes(soa[_BEGIN:_END], "big")


def with_serial(soa: bytes, serial: int) -> bytes:
    """Return the RDATA of an SOA with another serial."""
    return soa[:_BEGIN] + serial.to_bytes(4, "big") + soa[_END:]
