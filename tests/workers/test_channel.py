"""The channel between the control process and a worker."""

from __future__ import annotations

import socket
from typing import Any

from dnsd.workers.channel import Channel, encode
from dnsd.workers.messages import Applied, Stop
from tests.workers.fleet import delta, snapshot, until


class Ear:
    """Keeps what comes over a channel."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.ends: list[Exception | None] = []

    async def at(self, sock: socket.socket) -> Channel:
        return await Channel.over(sock, on_message=self.heard.append, on_closed=self.ends.append)


async def test_messages_keep_their_order_and_size() -> None:
    """Small and large messages arrive whole, in order, in both directions."""
    left, right = socket.socketpair()
    first, second = Ear(), Ear()
    a, b = await first.at(left), await second.at(right)
    large = b"x" * 3_000_000
    sent = [delta(2), large, snapshot(3), Applied(3, 4), *range(1000)]
    for message in sent:
        a.send(message)
    b.send_encoded(encode(Stop()))
    await until(lambda: len(second.heard) == len(sent) and len(first.heard) == 1)
    assert second.heard == sent
    assert first.heard == [Stop()]
    a.close()
    await until(lambda: len(second.ends) == 1)
    b.close()
    assert (first.ends, second.ends) == ([], [None])


async def test_what_is_sent_to_nobody_is_dropped() -> None:
    """After the end of the other side, sending neither raises nor reports the end twice."""
    left, right = socket.socketpair()
    ear = Ear()
    channel = await ear.at(left)
    right.close()
    channel.send(Stop())
    await until(lambda: len(ear.ends) == 1)
    channel.send(Stop())
    channel.close()
    assert len(ear.ends) == 1
