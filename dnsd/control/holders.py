"""Who listens on an address, read from /proc: to name a foreign server, and to find orphans that do not speak.

Owns the parsing of /proc/net and /proc/PID. It sees only what our user may see, and decides nothing.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dnsd.transports.sockets import Address

PROC = Path("/proc")

# The states that a row of /proc/net has for a listening TCP socket and an unconnected UDP socket (linux/tcp_states.h).
_LISTENING = {"tcp": "0A", "udp": "07"}


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens on an address.

    Args:
        worker: it is one of dnsd's workers, of our own user.
    """

    pid: int
    worker: bool


def holders_of(address: Address, *, over_udp: bool = True) -> list[Holder]:
    """Return the processes that listen on exactly that address, over UDP or TCP, as far as we may see them.

    Args:
        over_udp: False: only TCP matters there.
    """
    inodes = set(_inodes_of(address, ("tcp", "udp") if over_udp else ("tcp",)))
    if not inodes:
        return []
    links = {f"socket:[{inode}]" for inode in inodes}
    return [
        Holder(pid, _is_worker(pid))
        for pid in map(int, filter(str.isdecimal, os.listdir(PROC)))  # noqa: PTH208 - names are all that is needed
        if links & set(_open_files(pid))
    ]


def _inodes_of(address: Address, transports: Iterable[str]) -> Iterator[str]:
    host, port = address
    parsed = ipaddress.ip_address(host)
    local = f"{_words(parsed.packed)}:{port:04X}"
    suffix = "6" if parsed.version == 6 else ""
    for transport in transports:
        with suppress(OSError):  # a system without IPv6 has no such file
            for row in (PROC / "net" / f"{transport}{suffix}").read_text().splitlines()[1:]:
                fields = row.split()
                if fields[1] == local and fields[3] == _LISTENING[transport]:
                    yield fields[9]


def _words(packed: bytes) -> str:
    """Write an address as /proc/net does: 32-bit words in the machine's order, in hexadecimal."""
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


def _open_files(pid: int) -> Iterator[str]:
    with suppress(OSError):  # another user's process, or one that has just ended
        for entry in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                yield str(entry.readlink())


def _is_worker(pid: int) -> bool:
    with suppress(OSError):
        process = PROC / str(pid)
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        return b"dnsd.workers" in arguments and process.stat().st_uid == os.geteuid()
    return False
