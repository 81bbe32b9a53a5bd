"""Sockets to listen on: how they are made and which options they carry.

Owns the socket options of both transports. It must not know what is said over them.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from contextlib import suppress

from dnsd.errors import StartError
from dnsd.oserrors import reason_of

Address = tuple[str, int]

# Room for queries that arrive while the worker is busy: about 1000 of them, or 30 ms at 30,000 queries a second.
# Unit: bytes; the kernel caps it at net.core.rmem_max (212,992 by default) and counts its own overhead in it.
UDP_RECEIVE_BUFFER_BYTES = 1 << 20

# Connections that the kernel completes before they are accepted; net.core.somaxconn caps it. Unit: connections.
TCP_BACKLOG = 256

# linux/in.h; the socket module names it from Python 3.13 on only.
IP_PKTINFO = 8

# linux/in.h, linux/in6.h: what the kernel does with what it hears of a path's MTU.
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER = 10, 23
PMTUDISC_OMIT = 5


def address_text(address: Address) -> str:
    """Write an address as the configuration does: `127.0.0.1:53` or `[::1]:53`."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def family_of(host: str) -> socket.AddressFamily:
    """Return the address family of an IP address in text."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_wildcard(host: str) -> bool:
    """Say whether a host stands for every address of the machine."""
    return ipaddress.ip_address(host).is_unspecified


def open_udp(address: Address) -> socket.socket:
    """Open a non-blocking UDP socket that shares its address with other workers.

    Args:
        address: IP address and port. On a wildcard address the socket tells where each packet was sent to.

    Raises:
        StartError: one line that names the address.
    """
    host, _ = address
    sock = socket.socket(family_of(host), socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_RECEIVE_BUFFER_BYTES)
        _ignore_path_mtu(sock)
        if is_wildcard(host):
            _ask_for_destination(sock)
        _bind_shared(sock, address)
    except OSError as error:
        sock.close()
        raise _cannot_listen(address, "UDP", error) from error
    return sock


def open_tcp(address: Address) -> socket.socket:
    """Open a non-blocking, listening TCP socket that shares its address with other workers.

    Raises:
        StartError: one line that names the address.
    """
    host, _ = address
    sock = socket.socket(family_of(host), socket.SOCK_STREAM)
    try:
        # Connections of an earlier process in TIME-WAIT must not stand in the way of a restart.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it: an answer leaves at once, whole as it is.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _bind_shared(sock, address)
        sock.listen(TCP_BACKLOG)
    except OSError as error:
        sock.close()
        raise _cannot_listen(address, "TCP", error) from error
    return sock


def someone_listens(address: Address, *, over_udp: bool = True) -> bool:
    """Say whether any process has the address, over UDP or TCP, even one that would share it.

    Args:
        over_udp: False: only TCP matters there.

    Raises:
        StartError: the address cannot be used at all (not local, or a privileged port).
    """
    kinds = ((socket.SOCK_DGRAM, "UDP"), (socket.SOCK_STREAM, "TCP"))
    for kind, label in kinds if over_udp else kinds[1:]:
        with socket.socket(family_of(address[0]), kind) as probe:
            if kind is socket.SOCK_STREAM:
                # Over TCP it looks past connections in TIME-WAIT, yet not past a listening socket.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _only_ipv6(probe)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return True
                raise _cannot_listen(address, label, error) from error
    return False


def leave_group(sock: socket.socket) -> None:
    """Make a shared UDP socket get no new queries, while those in its queue can still be read and answered.

    Linux gives a connected socket only its peer's packets, and spreads all others over the rest of the group. So it
    is connected to itself. Where that fails, closing it merely loses what is in the queue by then.
    """
    with suppress(OSError):
        sock.connect(sock.getsockname())


def _bind_shared(sock: socket.socket, address: Address) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    _only_ipv6(sock)
    sock.setblocking(False)
    sock.bind(address)


def _only_ipv6(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        # "[::]:53" beside "0.0.0.0:53" must work, and IPv4 clients must not appear as IPv6 ones.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _ignore_path_mtu(sock: socket.socket) -> None:
    """Send datagrams as large as they are, whatever is said of the path: who says it may want fragments to forge.

    RFC 9715 §3.1: responses of at most 1232 bytes need none.
    """
    level, option = (
        (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)
        if sock.family == socket.AF_INET6
        else (socket.IPPROTO_IP, IP_MTU_DISCOVER)
    )
    with suppress(OSError):  # an older kernel, or another one
        sock.setsockopt(level, option, PMTUDISC_OMIT)


def _ask_for_destination(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


def _cannot_listen(address: Address, label: str, error: OSError) -> StartError:
    return StartError(f"cannot listen on {address_text(address)} ({label}): {reason_of(error)}")
