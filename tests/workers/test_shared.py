"""Shared bytes over a channel: once in memory, and gone with the last who uses them."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dnsd.sharedbytes import SharedBytes, new_memfd
from dnsd.workers import channel as channels
from dnsd.workers.channel import Channel, Encoded, descriptor_pair, encode
from tests.support.limits import limited
from tests.workers.fleet import until


class Pair:
    """Two ends of a channel with descriptors, in one process."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.ends: list[Exception | None] = []
        self.sender: Channel
        self.receiver: Channel

    async def connect(self) -> None:
        ours, theirs = socket.socketpair()
        first, second = descriptor_pair()
        self.sender = await Channel.over(
            ours, on_message=self.heard.append, on_closed=self.ends.append, descriptors=first
        )
        self.receiver = await Channel.over(
            theirs, on_message=self.heard.append, on_closed=self.ends.append, descriptors=second
        )

    async def hears(self, count: int) -> None:
        await until(lambda: len(self.heard) == count or bool(self.ends))


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    both = Pair()
    await both.connect()
    yield both
    both.sender.abort()
    both.receiver.abort()
    await asyncio.sleep(0)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def images() -> int:
    """Return how many shared bytes this process has mapped."""
    return Path("/proc/self/maps").read_text().count("/memfd:dnsd")


async def test_shared_bytes_arrive_by_their_descriptor(pair: Pair) -> None:
    """The receiver maps the same memory: the message is short, and holds one object for each that was sent."""
    large, small = SharedBytes.of(b"x" * 1_000_000), SharedBytes.of(b"y")
    encoded = encode({"a": large, "b": [large, small]})
    assert len(encoded.data) < 500
    pair.sender.send_encoded(encoded)
    await pair.hears(1)
    (message,) = pair.heard
    assert message["a"] is message["b"][0]
    assert (bytes(message["a"].view), bytes(message["b"][1].view)) == (b"x" * 1_000_000, b"y")


async def test_what_is_in_use_is_not_received_twice(pair: Pair) -> None:
    """A second message about the same bytes comes to the same object, and its descriptor is closed."""
    some = SharedBytes.of(b"x")
    pair.sender.send(some)
    pair.sender.send(some)
    await pair.hears(2)
    assert pair.heard[0] is pair.heard[1]


async def test_nothing_stays_open_over_many_messages(pair: Pair) -> None:
    """Bytes that nobody uses any more are unmapped at both ends."""
    pair.sender.send(1)
    await pair.hears(1)
    before = descriptors()
    for _ in range(50):
        pair.heard.clear()
        pair.sender.send([SharedBytes.of(b"x"), SharedBytes.of(b"y")])
        await pair.hears(1)
    pair.heard.clear()
    assert descriptors() == before


async def test_many_descriptors_go_in_one_message(pair: Pair) -> None:
    """There are more large zones than one message of the system takes descriptors."""
    many = [SharedBytes.of(bytes([number % 256])) for number in range(450)]
    pair.sender.send(many)
    await pair.hears(1)
    assert [each.view[0] for each in pair.heard[0]] == [number % 256 for number in range(450)]


async def test_a_receiver_that_takes_none_is_told_of(pair: Pair) -> None:
    """Where so many descriptors wait that no more are taken, the sender hears of it and does not wait."""
    some = SharedBytes.of(b"x")
    encoded = encode(some)
    refused = None
    for _ in range(10_000):
        try:
            pair.sender.send_encoded(encoded)
        except OSError as error:
            refused = error
            break
    assert isinstance(refused, BlockingIOError)


async def test_what_came_for_an_earlier_message_does_not_stay(pair: Pair) -> None:
    """A descriptor that was sent again, and is read when nobody has the bytes any more, is let go of."""
    before = images()
    some = SharedBytes.of(b"x")
    pair.sender.send(some)
    pair.sender.send(some)  # this descriptor stays unread: the bytes are in use
    await pair.hears(2)
    del some
    pair.heard.clear()
    other = SharedBytes.of(b"y")
    pair.sender.send(other)
    await pair.hears(1)
    assert images() == before + 2
    assert bytes(pair.heard[0].view) == bytes(other.view)


async def test_bytes_that_do_not_come_are_no_end_of_the_channel(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that waits in vain for a descriptor says so: to it, an `OSError` is the end of the sender."""
    monkeypatch.setattr(channels, "_DESCRIPTOR_SECONDS", 0.01)
    some = SharedBytes.of(b"x")
    pair.sender.send_encoded(Encoded(encode(some).data))
    await pair.hears(1)
    (end, *_) = pair.ends
    assert isinstance(end, ValueError)
    assert "cannot be received: timed out" in str(end)


async def test_a_receiver_without_descriptors_says_what_to_look_at(pair: Pair) -> None:
    """Where it has as many as it may have, it names the limit."""
    some = SharedBytes.of(b"x")
    pair.sender.send(some)
    with limited(resource.RLIMIT_NOFILE, 3):
        await pair.hears(1)
    (end, *_) = pair.ends
    assert "limit on open files" in str(end)


def test_shared_bytes_hold_few_descriptors() -> None:
    """Their maker has one beside the map's own, which newer versions of Python do without; the last use ends both."""
    before = descriptors()
    some = SharedBytes.of(b"x")
    assert descriptors() - before == (1 if sys.version_info >= (3, 13) else 2)
    assert some.fd is not None
    received = SharedBytes.received(os.dup(some.fd))
    del some
    assert descriptors() - before == (0 if sys.version_info >= (3, 13) else 1)
    assert bytes(received.view) == b"x"
    del received
    assert descriptors() == before


def test_want_of_descriptors_is_no_want_of_memory() -> None:
    """Where no descriptor is left, no copy is made in silence."""
    with limited(resource.RLIMIT_NOFILE, 3), pytest.raises(OSError, match="Too many open files") as raised:
        SharedBytes.of(b"x")
    assert raised.value.errno == errno.EMFILE


async def test_without_a_second_pair_nothing_can_be_referred_to() -> None:
    """A message that refers to shared bytes is an error where no descriptor can go."""
    ours, theirs = socket.socketpair()
    with theirs:
        channel = await Channel.over(ours, on_message=print, on_closed=print)
        with pytest.raises(ValueError, match="refers to"):
            channel.send(SharedBytes.of(b"x"))
        channel.abort()


async def test_without_memory_to_share_bytes_are_copied(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without memfd sends the bytes themselves."""
    monkeypatch.delattr(os, "memfd_create")
    pair.sender.send(SharedBytes.of(b"x" * 1000))
    await pair.hears(1)
    assert bytes(pair.heard[0].view) == b"x" * 1000


def test_what_is_shared_cannot_be_changed() -> None:
    """Neither who made it nor who received it can write to it or cut it."""
    some = SharedBytes.of(b"abc")
    assert some.fd is not None
    assert some.view.readonly
    with pytest.raises(PermissionError):
        os.pwrite(some.fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(some.fd, 0)


def test_an_empty_memfd_is_refused() -> None:
    """There is nothing to map; the descriptor stays the caller's."""
    fd = new_memfd()
    with pytest.raises(ValueError, match="empty"):
        SharedBytes.sealed(fd)
    os.close(fd)
