"""The channel between the control process and one worker: messages over a pair of connected Unix sockets.

Owns framing, pickling, and the descriptors of what messages refer to and do not hold: those of `SharedBytes` go over a
second pair, just before the message. Both ends are our own processes, and nobody else can reach the pairs, so that
unpickling is safe here. It must not know what the messages mean.
"""

from __future__ import annotations

import asyncio
import copyreg
import io
import itertools
import os
import pickle
import socket
import struct
import weakref
from collections import ChainMap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from dnsd.sharedbytes import SharedBytes

_LENGTH = struct.Struct("!I")
_NUMBER = struct.Struct("!Q")

# Descriptors in one message of the second pair; Linux takes 253 (SCM_MAX_FD in unix(7)).
_MAX_DESCRIPTORS = 200

# A descriptor is sent before the message that needs it, so that nobody waits at all. Unit: seconds.
_DESCRIPTOR_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Encoded:
    """A message as it goes over a channel.

    Args:
        data: the message, framed.
        shared: what it refers to.
    """

    data: bytes
    shared: tuple[SharedBytes, ...] = ()


def encode(message: object) -> Encoded:
    """Return a message as `Channel.send_encoded` takes it; for one that goes to several workers."""
    shared: dict[int, SharedBytes] = {}

    def refer(some: SharedBytes) -> Any:
        if some.fd is None:
            return some.__reduce__()
        shared[some.number] = some
        return _referred, (some.number,)

    output = io.BytesIO()
    pickler = pickle.Pickler(output, protocol=pickle.HIGHEST_PROTOCOL)
    # Not `persistent_id`: it would be called for each of the thousands of objects in a message that a drain waits for.
    pickler.dispatch_table = ChainMap({SharedBytes: refer}, copyreg.dispatch_table)  # type: ignore[arg-type]  # it only reads
    pickler.dump(message)
    body = output.getvalue()
    return Encoded(_LENGTH.pack(len(body)) + body, tuple(shared.values()))


def descriptor_pair() -> tuple[socket.socket, socket.socket]:
    """Return a pair of sockets for descriptors: the sender's end, which never blocks, and the receiver's."""
    # A system that has no such sockets has no memory to share either, and will send nothing.
    kind = getattr(socket, "SOCK_SEQPACKET", socket.SOCK_STREAM)
    try:
        sender, receiver = socket.socketpair(socket.AF_UNIX, kind)
    except OSError:
        sender, receiver = socket.socketpair()
    sender.setblocking(False)
    return sender, receiver


class Channel(asyncio.Protocol):
    """One end of a channel.

    Args:
        on_message: called with each message, in order.
        on_closed: called once, when the other end has closed or is gone, or with what a message did wrong here; not
            after `close`.
        descriptors: this end of the second pair; the channel closes it with its own end. None: messages refer to
            nothing.
    """

    def __init__(
        self,
        on_message: Callable[[Any], None],
        *,
        on_closed: Callable[[Exception | None], None],
        descriptors: socket.socket | None = None,
    ) -> None:
        self._on_message = on_message
        self._on_closed = on_closed
        self._descriptors = descriptors
        self._shared = _Received(descriptors)
        self._received = bytearray()
        self._closing = False
        self._transport: asyncio.Transport

    @classmethod
    async def over(
        cls,
        sock: socket.socket,
        *,
        on_message: Callable[[Any], None],
        on_closed: Callable[[Exception | None], None],
        descriptors: socket.socket | None = None,
    ) -> Channel:
        """Take over a connected Unix socket."""
        channel = cls(on_message, on_closed=on_closed, descriptors=descriptors)
        await asyncio.get_running_loop().create_unix_connection(lambda: channel, sock=sock)
        return channel

    def send(self, message: object) -> None:
        """Queue a message; it is lost where the other end is gone, which `on_closed` tells."""
        self.send_encoded(encode(message))

    def send_encoded(self, encoded: Encoded) -> None:
        """Queue what `encode` returned.

        Raises:
            BlockingIOError: so many descriptors wait already that the other end does not seem to take any.
            OSError: a descriptor cannot be handed over for another reason.
        """
        if self._transport.is_closing():
            return
        if encoded.shared:
            self._send_descriptors(encoded.shared)
        self._transport.write(encoded.data)

    def close(self) -> None:
        """Send what is queued, then close."""
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._closing = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)  # a stream's loop gives no other

    def data_received(self, data: bytes) -> None:
        """Hand on each message that is complete."""
        received = self._received
        received += data
        start = 0
        while len(received) >= start + _LENGTH.size and not self._closing:
            (size,) = _LENGTH.unpack_from(received, start)
            end = start + _LENGTH.size + size
            if len(received) < end:
                break
            message = _Unpickler(bytes(received[start + _LENGTH.size : end]), self._shared).load()
            self._shared.drop_unused()
            start = end
            self._on_message(message)
        del received[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._descriptors is not None:
            self._descriptors.close()
        if not self._closing:
            self._closing = True
            self._on_closed(exc)

    def _send_descriptors(self, shared: tuple[SharedBytes, ...]) -> None:
        if self._descriptors is None:
            raise ValueError("this channel takes no message that refers to shared bytes")
        for some in _batches(shared):
            numbers = b"".join(_NUMBER.pack(each.number) for each in some)
            try:
                socket.send_fds(self._descriptors, [numbers], [each.fd for each in some if each.fd is not None])
            except (BrokenPipeError, ConnectionResetError):
                return  # the other end is gone, which `on_closed` tells


class _Received:
    """The shared bytes that came over a second pair and are still in use.

    Args:
        sock: the receiver's end.
    """

    def __init__(self, sock: socket.socket | None) -> None:
        self._sock = sock
        self._known: weakref.WeakValueDictionary[int, SharedBytes] = weakref.WeakValueDictionary()
        self._fresh: dict[int, SharedBytes] = {}

    def take(self, number: int) -> SharedBytes:
        """Return the bytes of a number, whose descriptor came with this message or an earlier one."""
        while (found := self._known.get(number) or self._fresh.pop(number, None)) is None:
            self._receive()
        self._known[number] = found
        return found

    def drop_unused(self) -> None:
        """Let go of what came for a message before the one that is read now, and was not needed for it.

        Whatever a message refers to was sent just before it, so that nothing is still to be asked for.
        """
        self._fresh.clear()

    def _receive(self) -> None:
        if self._sock is None:
            raise ValueError("a message refers to shared bytes, and no descriptor can come")
        try:
            self._receive_from(self._sock)
        except OSError as error:  # not the end of the channel, which an OSError would be taken for
            raise ValueError(f"shared bytes cannot be received: {error}") from error

    def _receive_from(self, sock: socket.socket) -> None:
        sock.settimeout(_DESCRIPTOR_SECONDS)
        data, descriptors, _, _ = socket.recv_fds(sock, _MAX_DESCRIPTORS * _NUMBER.size, _MAX_DESCRIPTORS)
        numbers = [number for (number,) in _NUMBER.iter_unpack(data)]
        if not descriptors or len(numbers) != len(descriptors):
            raise ValueError(
                f"{len(descriptors)} descriptors came where {len(numbers)} were announced; is the limit on open files"
                " reached?"
            )
        for number, fd in zip(numbers, descriptors, strict=True):
            if number in self._known:
                os.close(fd)  # it was sent before and is in use
            else:
                self._fresh[number] = SharedBytes.received(fd)


class _Unpickler(pickle.Unpickler):
    """Puts shared bytes in the place of references."""

    def __init__(self, body: bytes, shared: _Received) -> None:
        super().__init__(io.BytesIO(body))
        self._shared = shared

    def find_class(self, module: str, name: str) -> Any:
        """See `pickle.Unpickler`."""
        if name == _referred.__name__ and module == _referred.__module__:
            return self._shared.take
        return super().find_class(module, name)


def _referred(number: int) -> SharedBytes:
    """Stand for the lookup of a reference, which each channel has its own of."""
    raise LookupError(f"shared bytes {number} are not to be had outside a channel")


def _batches(shared: tuple[SharedBytes, ...]) -> Iterator[tuple[SharedBytes, ...]]:
    rest = iter(shared)
    while some := tuple(itertools.islice(rest, _MAX_DESCRIPTORS)):
        yield some
