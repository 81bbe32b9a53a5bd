"""How a worker that has lost its control process finds the next one, and is told to go.

Each listen address stands for an abstract Unix socket of a fixed name in the same network namespace. The control
process that serves the address listens there. An orphan connects, says hello, waits for one line, and ends.

The lines are text, not pickled messages: the two may be of different versions of dnsd. Anybody on the machine can
connect to an abstract socket, or listen on one, so that each side believes only its own user.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from dnsd.transports.sockets import Address, address_text

# How often an orphan looks for a control process. Unit: seconds.
LOOK_SECONDS = 0.2

# How long workers go on answering without a control process. Long enough for a service manager to give up and a person
# to come; short enough that what they answer does not outlive the fleet that it names. Unit: seconds; 0 or more.
ORPHAN_SECONDS = 600.0

HELLO = b"orphan\n"  # from the orphan, so that a connection that only asks who holds the lock is told apart
RETIRE = b"retire\n"

_UCRED = struct.Struct("@iII")  # struct ucred: pid, uid, gid (unix(7))


class Peer(NamedTuple):
    """Who is at the other end of a Unix socket."""

    pid: int
    uid: int


def lock_name(address: Address) -> str:
    """Return the abstract socket that stands for a DNS listen address, however the address was written."""
    host, port = address
    return f"\0dnsd/control/{address_text((str(ipaddress.ip_address(host)), port))}"


def peer_of(sock: socket.socket) -> Peer:
    """Return the process at the other end, or for a connecting socket the one that listens."""
    pid, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid)


def connect_to_control(address: Address) -> socket.socket | None:
    """Connect to the control process of an address; None where there is none, or it is not of our own user."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        sock.connect(lock_name(address))
        if peer_of(sock).uid == os.geteuid():
            sock.send(HELLO)
            return sock
    except OSError:  # nobody listens, or too many wait: look again later
        pass
    sock.close()
    return None


async def until_retired(addresses: Sequence[Address], *, seconds: float) -> socket.socket | None:
    """Wait until a control process takes over, or for so long.

    Returns:
        The connection on which it said so: to be left open until the worker answers no more, since its end tells
        the control process just that. None when the time is over.
    """
    try:
        async with asyncio.timeout(seconds):
            while True:
                for address in addresses:
                    sock = connect_to_control(address)
                    if sock is not None and await _told_to_retire(sock):
                        return sock
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        return None


async def _told_to_retire(sock: socket.socket) -> bool:
    told = False
    try:
        told = await asyncio.get_running_loop().sock_recv(sock, len(RETIRE)) == RETIRE
    except OSError:  # the control process has died as well
        pass
    finally:
        if not told:
            sock.close()
    return told
