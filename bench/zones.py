"""Writes large zones to measure with: hosts with addresses, and among them aliases, mail, text and delegations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

_START = """$TTL 3600
@ IN SOA ns1 hostmaster 1 7200 1800 1209600 300
@ IN NS ns1
@ IN NS ns2
ns1 IN A 192.0.2.53
ns2 IN A 198.51.100.53
"""

# Such a group of hosts has 21 records at 14 names.
_GROUP = 10


def write_zone(path: Path, records: int) -> None:
    """Write the master file of a zone with so many records, SOA included; the same number makes the same file.

    Args:
        records: 10 or more.
    """
    start = _START.splitlines()[1:]
    with path.open("w") as file:
        file.write(_START)
        file.writelines(line + "\n" for line in islice(_lines(), records - len(start)))


def host(number: int) -> str:
    """Return the relative name of a host: each has an A record, and most an AAAA record too."""
    return f"host{number}"


def _lines() -> Iterator[str]:
    number = 0
    while True:
        for place in range(_GROUP):
            yield f"{host(number)} IN A 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            if place < 6:
                yield f"{host(number)} IN AAAA 2001:db8::{number >> 16:x}:{number & 0xFFFF:x}"
            if place == 6:
                yield f"www{number} 300 IN CNAME {host(number)}"
            if place == 7:
                yield f"mail{number} IN MX 10 {host(number)}"
                yield f'mail{number} IN TXT "v=spf1 mx -all"'
            if place == 8:
                yield f"sub{number} IN NS ns.sub{number}"
                yield f"ns.sub{number} IN A 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            number += 1
