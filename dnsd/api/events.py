"""Following a server's events over broken connections, without losing or repeating one.

connecting ── 200 ──▶ reading ── broken, silent or ended ──▶ pausing ── connecting, with Last-Event-ID
     └─ before the first 200: raised      └─ 204: the server wants no more; the iteration ends
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import aiohttp
from pydantic import ValidationError

from dnsd.api.address import path_of
from dnsd.api.errors import ApiError, ServerUnreachable, UnexpectedAnswer
from dnsd.api.exchange import CONNECT_TIMEOUT_SECONDS, Exchange
from dnsd.api.schemas import Event
from dnsd.api.sse import EventStream, EventTooLarge, Message

# A server sends a comment at least every 15 s; four missed ones mean a dead connection. Unit: seconds.
SILENCE_TIMEOUT_SECONDS = 60.0

# Between connections: doubled with each attempt that fails, back to the first with one that succeeds. Unit: seconds.
FIRST_PAUSE_SECONDS = 0.2
MAX_PAUSE_SECONDS = 10.0

EVENT_STREAM_TYPE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event and what to resume after.

    Args:
        id: for `Last-Event-ID`; empty: the server named none yet.
    """

    id: str
    event: Event


class EventReader:
    """An endless reader of one server's events.

    Args:
        last_id: resume after this event; empty: from now on.
        silence_seconds: a connection that says nothing for so long is taken as broken.
        first_pause_seconds: before the first attempt to connect again.
    """

    def __init__(
        self, exchange: Exchange, *, last_id: str = "", silence_seconds: float, first_pause_seconds: float
    ) -> None:
        self._exchange = exchange
        self._last_id = last_id
        self._silence_seconds = silence_seconds
        self._first_pause_seconds = first_pause_seconds
        self._pause_seconds = first_pause_seconds
        self._connected_once = False

    async def read(self) -> AsyncGenerator[ReceivedEvent]:
        """Yield events as they come, connecting again whenever the connection breaks.

        Raises:
            ServerUnreachable: at the first connection only.
            ApiError: whenever the server refuses, but for 5xx after the first connection.
            UnexpectedAnswer: what came is not a stream of events.
        """
        while True:
            try:
                async with contextlib.aclosing(self._connection()) as events:
                    async for event in events:
                        yield event
            except ServerUnreachable:
                if not self._connected_once:
                    raise
            except ApiError as error:
                if not self._connected_once or error.problem.status < 500:
                    raise
            except _NoMore:
                return
            await asyncio.sleep(self._pause_seconds)
            self._pause_seconds = min(self._pause_seconds * 2, MAX_PAUSE_SECONDS)

    async def _connection(self) -> AsyncGenerator[ReceivedEvent]:
        headers = {"Accept": EVENT_STREAM_TYPE}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        limits = aiohttp.ClientTimeout(connect=CONNECT_TIMEOUT_SECONDS, sock_read=self._silence_seconds)
        async with self._exchange.open("GET", path_of("events"), headers=headers, limits=limits) as response:
            self._check(response)
            self._connected_once = True
            self._pause_seconds = self._first_pause_seconds
            stream = EventStream(last_id=self._last_id)
            async for chunk in response.content.iter_any():
                for message in self._messages(stream, chunk, response):
                    self._last_id = message.id
                    yield _received(message, response)

    def _messages(self, stream: EventStream, chunk: bytes, response: aiohttp.ClientResponse) -> list[Message]:
        try:
            messages = list(stream.feed(chunk))
        except EventTooLarge as error:
            raise UnexpectedAnswer(str(response.url), status=response.status, reason=str(error)) from None
        if stream.retry_seconds is not None:
            self._first_pause_seconds = self._pause_seconds = min(stream.retry_seconds, MAX_PAUSE_SECONDS)
        return messages

    @staticmethod
    def _check(response: aiohttp.ClientResponse) -> None:
        if response.status == 204:
            raise _NoMore
        if response.content_type != EVENT_STREAM_TYPE:
            reason = f"its body is {response.content_type} where a dnsd server sends {EVENT_STREAM_TYPE}"
            raise UnexpectedAnswer(str(response.url), status=response.status, reason=reason)


class _NoMore(Exception):
    """The server asked its client not to come again (WHATWG HTML §9.2.3: status 204)."""


def _received(message: Message, response: aiohttp.ClientResponse) -> ReceivedEvent:
    try:
        return ReceivedEvent(message.id, Event.model_validate_json(message.data))
    except ValidationError as error:
        reason = f"an event is not what this version reads: {error.errors()[0]['msg']}"
        raise UnexpectedAnswer(str(response.url), status=response.status, reason=reason) from None
