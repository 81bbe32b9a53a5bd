"""Hearing of what others write: one call that waits for entries of the streams, and a bell for each of these.

It owns the bells and the task that rings them. It reads nothing: whoever waits at a bell does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from dnsd.stores.following import Bell
from dnsd.stores.redis import faults, scripts
from dnsd.stores.redis.connecting import ANSWER_SECONDS, Connected, Lane
from dnsd.stores.redis.layout import NOWHERE, Entry

# How long the call for news waits before it asks again, so that a server that is gone is noticed. Unit: seconds.
LISTEN_SECONDS = 2.0


class OnLost(Protocol):
    """What is told of a connection that cannot be listened to any more."""

    async def __call__(self, connected: Connected, error: BaseException, *, lost: bool) -> object:
        """Take note of it."""


class Listener:
    """Rings a stream's bell at each of its entries, and every bell whenever listening begins or ends.

    Args:
        bells: stream's key → bell.
    """

    def __init__(self, bells: Mapping[str, Bell]) -> None:
        self._bells = bells
        self._task: asyncio.Task[None] | None = None

    def begin(self, connected: Connected, *, on_lost: OnLost) -> None:
        """Listen to a server from now on."""
        self._task = asyncio.create_task(self._listen(connected, on_lost))

    def end(self) -> None:
        """Listen no more; those who wait look for themselves, and see why."""
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self._ring()

    def _ring(self) -> None:
        for bell in self._bells.values():
            bell.ring()

    async def _listen(self, connected: Connected, on_lost: OnLost) -> None:
        client = connected.clients[Lane.LISTENING]
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                tails = (("XREVRANGE", key, "+", "-", "COUNT", "1") for key in self._bells)
                last = await scripts.together(client, *tails)
            places: dict[Any, Any] = {
                key: entries[0][0] if entries else NOWHERE for key, entries in zip(self._bells, last, strict=True)
            }
            self._ring()  # what came before the places were known is for those who wait to find
            while True:
                async with asyncio.timeout(LISTEN_SECONDS + ANSWER_SECONDS):
                    found = await _news(client, places)
                for key, entries in found:
                    places[key] = entries[-1][0]
                    self._bells[key].ring()
        except faults.ANY as error:
            await on_lost(connected, error, lost=True)


async def _news(client: Redis, places: dict[Any, Any]) -> Sequence[tuple[str, Sequence[Entry]]]:
    """Wait for entries of streams that follow the places in them; none where the time ran out."""
    try:
        found: Any = await client.xread(places, block=int(LISTEN_SECONDS * 1000))
    except ResponseError as error:
        if faults.ROLE_CHANGED not in str(error):
            raise
        # The server closes the connection, but a replica can be listened to as well: on the next one.
        await client.connection_pool.disconnect()
        return ()
    return found or ()
