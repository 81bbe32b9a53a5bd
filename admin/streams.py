"""Server-sent events: one stream per reader, each with a bounded backlog.

feed (task)  backend.events ──▶ backlog, bounded ──▶  write (task)  ──▶ socket
  backlog full: the feed waits; the service bounds what waits behind it, and ends the stream where that is full
  the reader takes nothing in for too long: the connection is cut, and the reader resumes by Last-Event-ID
  changes trimmed: a `reset` event, then from now on; the reader loads the state again
  nothing for a while: a comment, so that proxies and both ends know that the connection lives
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator

from aiohttp import web

from admin.backend import Backend
from dnsd.api.schemas import Event
from dnsd.errors import ChangesTrimmed

log = logging.getLogger("dnsd.admin")

# A comment is sent when nothing else was for so long; proxies cut at 30 to 60 s. Unit: seconds.
HEARTBEAT_SECONDS = 15.0

# Events that wait for one reader; more stay with the service. Unit: events.
MAX_BACKLOG = 64

# How long a reader may take nothing in while something is to be sent, before it is cut off. Unit: seconds.
SEND_TIMEOUT_SECONDS = 10.0

# Readers at once. Unit: streams.
MAX_STREAMS = 128

# How long a browser waits before it connects again. Unit: milliseconds.
RETRY_MILLISECONDS = 2000

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "X-Accel-Buffering": "no",  # or nginx holds events back
}

# What waits to be written; None: the source has ended.
Backlog = asyncio.Queue[Event | None]


class EventStreams:
    """The open streams of one server.

    Args:
        heartbeat_seconds: silence after which a comment is sent.
    """

    def __init__(self, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._feeds: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def full(self) -> bool:
        """Whether one more reader would be too many, or the server is closing."""
        return self._closing or len(self._feeds) >= MAX_STREAMS

    def close(self) -> None:
        """End every stream, and let no other begin."""
        self._closing = True
        for feed in self._feeds:
            feed.cancel()

    async def serve(self, request: web.Request, backend: Backend, *, after: int | None) -> web.StreamResponse:
        """Send events to one reader until either side ends it.

        Args:
            after: the revision that the reader has; None: it begins now.
        """
        response = web.StreamResponse(headers=_HEADERS)
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        backlog: Backlog = asyncio.Queue(MAX_BACKLOG)
        feed = asyncio.create_task(feed_events(backend, backlog, after=after))
        self._feeds.add(feed)
        try:
            # The feed subscribes in its first step. It comes before the headers: a reader that has them misses
            # nothing of what happens afterwards.
            await asyncio.sleep(0)
            await response.prepare(request)
            write = asyncio.create_task(_write(response, backlog, heartbeat_seconds=self._heartbeat_seconds))
            await _run(request, feed, write)
        finally:
            feed.cancel()
            self._feeds.discard(feed)
        return response


async def _run(request: web.Request, feed: asyncio.Task[None], write: asyncio.Task[None]) -> None:
    stuck = False
    try:
        await asyncio.wait({feed, write}, return_when=asyncio.FIRST_COMPLETED)
        if feed.done() and not feed.cancelled() and feed.exception() is None:
            # What the source left behind: a reader that has not taken it in by then never will.
            stuck = not (await asyncio.wait({write}, timeout=SEND_TIMEOUT_SECONDS))[0]
    finally:
        feed.cancel()
        write.cancel()
        feed_end, write_end = await asyncio.gather(feed, write, return_exceptions=True)
    if stuck or isinstance(write_end, TimeoutError):
        log.info("an event stream's reader is too slow and was cut off")
        if request.transport is not None:
            request.transport.abort()
    elif isinstance(feed_end, Exception):
        log.error("an event stream failed", exc_info=feed_end)
    elif isinstance(write_end, Exception) and not isinstance(write_end, ConnectionError):
        log.error("an event stream failed", exc_info=write_end)


async def feed_events(backend: Backend, backlog: Backlog, *, after: int | None) -> None:
    """Put events into a backlog, then None where they end; the subscription is in place when the first step waits.

    Args:
        backlog: bounded; while it is full, events wait with the service, which bounds them too.
        after: the revision that the reader has; what came since is first, or a `reset` where that is not known any
            more. None: it begins now.
    """
    if after is not None and after > backend.revision:
        # The reader knows a state that this server's store does not, as after it was restored from a copy.
        after = None
        backlog.put_nowait(_reset(backend))
    if not await _forward(backend.events(after=after), backlog):
        # Nothing waits between this and the next subscription, so that nothing falls between them.
        backlog.put_nowait(_reset(backend))
        await _forward(backend.events(after=None), backlog)
    await backlog.put(None)


async def _forward(source: AsyncIterator[Event], backlog: Backlog) -> bool:
    """Pass on events to the source's end; False where it could not even begin."""
    begun = False
    try:
        async for event in source:
            begun = True
            await backlog.put(event)
    except ChangesTrimmed:
        return begun  # in the middle of a stream this ends it, and the reader is reset when it comes again
    finally:
        await _close(source)
    return True


async def _close(source: AsyncIterator[Event]) -> None:
    # An async generator that is left before its end must be closed, or its subscription stays until it is collected.
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()


async def _write(response: web.StreamResponse, backlog: Backlog, *, heartbeat_seconds: float) -> None:
    await response.write(f"retry: {RETRY_MILLISECONDS}\n\n".encode())  # the headers leave with the first bytes
    while True:
        try:
            async with asyncio.timeout(heartbeat_seconds):
                event = await backlog.get()
        except TimeoutError:
            data = b": still here\n\n"
        else:
            if event is None:
                return
            data = encode(event)
        async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
            await response.write(data)


def _reset(backend: Backend) -> Event:
    return Event(revision=backend.revision, at=time.time(), type="reset")


def encode(event: Event) -> bytes:
    """Write an event as the event stream format has it; its JSON holds no line break."""
    id_line = "" if event.revision is None else f"id: {event.revision}\n"
    return f"{id_line}event: {event.type}\ndata: {event.model_dump_json()}\n\n".encode()
