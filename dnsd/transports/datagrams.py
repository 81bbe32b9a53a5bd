"""Many datagrams with one system call each way: recvmmsg and sendmmsg of Linux, through ctypes.

Owns the memory that the kernel reads and writes, laid out once, and its form (`man 2 recvmmsg`, `man 7 ip`). It must
not know what is in a datagram. Where that can be, one call into C does for all datagrams what a step of Python would do
for each: the step costs ten times as much.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, cast

# Datagrams of one batch. More than are queued at high load bring nothing; each has the room of the longest. Unit:
# datagrams.
BATCH = 64

# A longer datagram is cut by the kernel, and then fails to parse. Real queries have less than 512 bytes, with room for
# EDNS options (RFC 6891 §6.2.5 suggests 4096 as the largest that is worth asking for). Unit: bytes.
MAX_QUERY_BYTES = 4096

# Addresses whose text is remembered; then it begins anew. Unit: addresses.
MAX_REMEMBERED = 4096

# From one datagram to the next: past a multiple of 4096, at which all would have the same few lines of the CPU's cache.
_STRIDE = MAX_QUERY_BYTES + 64
_NAME_BYTES = 28  # struct sockaddr_in6, the longer one
_NAME_BYTES_OF = {socket.AF_INET: 16, socket.AF_INET6: _NAME_BYTES}
_ADDRESS_OF = {socket.AF_INET: slice(4, 8), socket.AF_INET6: slice(8, 24)}
_IN_PKTINFO_BYTES, _IN6_PKTINFO_BYTES = 12, 20  # struct in_pktinfo, struct in6_pktinfo (RFC 3542 §6.2)


class _IoVector(ctypes.Structure):
    """struct iovec."""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Message(ctypes.Structure):
    """struct msghdr."""

    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _Header(ctypes.Structure):
    """struct mmsghdr: a message, and how long it was."""

    _fields_ = [("message", _Message), ("length", ctypes.c_uint32)]


_HEADER_WORDS = ctypes.sizeof(_Header) // 4
_LENGTH_WORD = _Header.length.offset // 4
_HEADER_DOUBLES = ctypes.sizeof(_Header) // 8
_CONTROL_DOUBLE = _Message.control_length.offset // 8
_VECTORS = 2  # of a reply: what it begins with, and the rest


class NotSupportedError(Exception):
    """There are no such calls here."""


class Datagrams:
    """Room for a batch of datagrams of one socket, and for the replies to them.

    Args:
        sock: bound and non-blocking; with the option that tells where a datagram was sent to, where `addressed`.
        addressed: a reply leaves from the address that its datagram was sent to.
        kept: bytes that a reply begins with as its datagram does; they are sent from where they were received.

    Raises:
        NotSupportedError: another system, or one that forbids the calls.
    """

    def __init__(self, sock: socket.socket, *, addressed: bool, kept: int) -> None:
        self._kept = kept
        self._receive, self._send = _system_calls()
        self._sock = sock
        self._family = socket.AddressFamily(sock.family)
        self._address = _ADDRESS_OF[self._family]
        self._texts: dict[bytes, str] = {}
        self._received: Any = (ctypes.c_char * (BATCH * _STRIDE))()
        self._names = bytearray(BATCH * _NAME_BYTES)
        self._reply_control: _ReplyControl | None = None
        self._in, self._out = (_Header * BATCH)(), (_Header * BATCH)()
        self._in_vectors, self._out_vectors = (_IoVector * BATCH)(), (_IoVector * (BATCH * _VECTORS))()
        self._lay_out()
        if addressed:
            self._reply_control = _ReplyControl(self._in, self._out, ipv6=self._family == socket.AF_INET6)
        self._in_address, self._out_address = ctypes.addressof(self._in), ctypes.addressof(self._out)
        words = memoryview(self._in).cast("B").cast("I")
        self._sizes = words[_LENGTH_WORD::_HEADER_WORDS]
        doubles = memoryview(self._out_vectors).cast("B").cast("Q")
        self._bases, self._lengths = doubles[2::4], doubles[3::4]
        self._starts = range(kept, BATCH * _STRIDE, _STRIDE)
        if self._receive(sock.fileno(), self._in_address, 0, socket.MSG_DONTWAIT, None) < 0:
            _refuse_unsupported()

    def _lay_out(self) -> None:
        received, names = ctypes.addressof(self._received), _address_of(self._names)
        in_vectors, out_vectors = ctypes.addressof(self._in_vectors), ctypes.addressof(self._out_vectors)
        vector = ctypes.sizeof(_IoVector)
        for n in range(BATCH):
            self._in_vectors[n].base, self._in_vectors[n].length = received + n * _STRIDE, MAX_QUERY_BYTES
            identity = self._out_vectors[n * _VECTORS]
            identity.base, identity.length = received + n * _STRIDE, self._kept
            for message, vectors, count in (
                (self._in[n].message, in_vectors + n * vector, 1),
                (self._out[n].message, out_vectors + n * _VECTORS * vector, _VECTORS),
            ):
                message.name, message.name_length = names + n * _NAME_BYTES, _NAME_BYTES_OF[self._family]
                message.vectors, message.vector_count = vectors, count

    def receive(self) -> list[bytes]:
        """Take what is queued, as much as there is room for, without waiting.

        Returns:
            Each datagram less the bytes that are kept; empty where it has no more.

        Raises:
            OSError: other than for want of datagrams.
        """
        control = self._reply_control
        if control is not None:
            control.prepare()
        count = self._receive(self._sock.fileno(), self._in_address, BATCH, socket.MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            if number in (errno.EAGAIN, errno.EINTR):
                return []
            raise OSError(number, os.strerror(number))
        if control is not None:
            control.answer_from_there(count)
        received, kept = self._received, self._kept
        return [received[at : at + size - kept] for at, size in zip(self._starts, self._sizes[:count].tolist())]  # noqa: B905 - there are more places than sizes

    def packet(self, number: int) -> bytes:
        """Return a whole datagram of the last batch."""
        start = number * _STRIDE
        return cast(bytes, self._received[start : start + self._sizes[number]])  # what a slice of characters is

    def peer(self, number: int) -> str:
        """Return the IP address of who sent it, in text."""
        start = number * _NAME_BYTES
        place = self._address
        packed = bytes(self._names[start + place.start : start + place.stop])
        text = self._texts.get(packed)
        if text is None:
            if len(self._texts) >= MAX_REMEMBERED:
                self._texts.clear()
            text = self._texts[packed] = socket.inet_ntop(self._family, packed)
        return text

    def reply(self, tails: Sequence[bytes]) -> int:
        """Reply to the datagrams of the last batch.

        Args:
            tails: the replies less the bytes that are kept, in the order of the datagrams; an empty one is not sent.

        Returns:
            How many of them the kernel refused.
        """
        lengths = list(map(len, tails))
        joined = bytearray().join(tails)
        if not joined:
            return 0
        count = len(lengths)
        self._bases[:count] = memoryview(array("Q", accumulate(lengths, initial=_address_of(joined))))[:count]
        self._lengths[:count] = memoryview(array("Q", lengths))
        if 0 not in lengths:
            return self._send_run(0, count)
        errors = first = 0
        for number, length in enumerate((*lengths, 0)):
            if not length:
                errors += self._send_run(first, number)
                first = number + 1
        return errors

    def _send_run(self, first: int, end: int) -> int:
        errors = 0
        while first < end:
            address = self._out_address + first * ctypes.sizeof(_Header)
            sent = self._send(self._sock.fileno(), address, end - first, 0)
            if sent < 0:  # it is the first one that the kernel refuses
                errors += 1
            first += max(sent, 1)
        return errors


class _ReplyControl:
    """What is said beside each datagram: where it was sent to, and so where its reply is to leave from.

    One place is for both: what the kernel writes there on receiving is what it takes on sending.
    """

    def __init__(self, received: ctypes.Array[_Header], sent: ctypes.Array[_Header], *, ipv6: bool) -> None:
        self._ipv6 = ipv6
        size = socket.CMSG_SPACE(_IN6_PKTINFO_BYTES if ipv6 else _IN_PKTINFO_BYTES)
        self._size = size
        self._data = (ctypes.c_char * (BATCH * size))()
        for n in range(BATCH):
            received[n].message.control = sent[n].message.control = ctypes.addressof(self._data) + n * size
        self._in_lengths = memoryview(received).cast("B").cast("Q")[_CONTROL_DOUBLE::_HEADER_DOUBLES]
        self._out_lengths = memoryview(sent).cast("B").cast("Q")[_CONTROL_DOUBLE::_HEADER_DOUBLES]
        self._all_there = memoryview(array("Q", [size] * BATCH))
        # Behind the header: ipi_ifindex of in_pktinfo, ipi6_ifindex of in6_pktinfo.
        data = socket.CMSG_LEN(0)
        self._first = data
        self._bytes = memoryview(self._data).cast("B")
        self._interfaces = self._bytes.cast("I")[(data + 16 if ipv6 else data) // 4 :: size // 4]
        self._none = memoryview(array("I", bytes(4 * BATCH)))

    def prepare(self) -> None:
        """Tell the kernel how much room there is; it has written over that."""
        self._in_lengths[:] = self._all_there

    def answer_from_there(self, count: int) -> None:
        """Make replies of what was received: from the same address, over whatever interface leads back."""
        self._out_lengths[:count] = self._in_lengths[:count]
        if self._ipv6 and 0xFE in self._bytes[self._first : count * self._size : self._size].tobytes():
            for n in range(count):
                start = self._first + n * self._size
                # A link-local address means nothing without its interface.
                if not (self._bytes[start] == 0xFE and self._bytes[start + 1] & 0xC0 == 0x80):
                    self._interfaces[n] = 0
        else:
            self._interfaces[:count] = self._none[:count]


def _address_of(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def _system_calls() -> tuple[Callable[..., int], Callable[..., int]]:
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise NotSupportedError("not Linux with addresses of 64 bits")
    library = ctypes.CDLL(None, use_errno=True)
    try:
        receive, send = library.recvmmsg, library.sendmmsg
    except AttributeError:
        raise NotSupportedError("the C library lacks recvmmsg or sendmmsg") from None
    receive.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
    send.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
    return receive, send


def _refuse_unsupported() -> None:
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EPERM):  # an old kernel, or a sandbox
        raise NotSupportedError(os.strerror(number))
