"""Streams of events: one for each watcher, with a bounded backlog, as HTTP has them.

feed (task)  backend.events ──▶ backlog, bounded ──▶  write (task)  ──▶ call
  the feed, and what a lost connection resumes with, are those of HTTP (admin.streams)
  the watcher takes nothing in for too long, or falls too far behind: the call ends, and the watcher resumes
"""

from __future__ import annotations

import asyncio
import logging

from admin.backend import Backend
from admin.problems import TOO_MANY_STREAMS, Fault
from admin.streams import MAX_BACKLOG, MAX_STREAMS, SEND_TIMEOUT_SECONDS, Backlog, feed_events
from dnsd.adapters.grpc.answers import filled
from dnsd.adapters.grpc.frame import Context
from dnsd.adapters.grpc.problems import WATCH_ENDED
from dnsd.adapters.grpc.v1 import control_pb2

log = logging.getLogger("dnsd.adapters")


class Watches:
    """The open streams of one server.

    Args:
        send_timeout_seconds: how long a watcher may take nothing in while something is to be sent.
    """

    def __init__(self, backend: Backend, *, send_timeout_seconds: float = SEND_TIMEOUT_SECONDS) -> None:
        self._backend = backend
        self._send_timeout_seconds = send_timeout_seconds
        self._feeds: set[asyncio.Task[None]] = set()
        self._closing = False

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._feeds)

    def close(self) -> None:
        """End every stream, and let no other begin."""
        self._closing = True
        for feed in self._feeds:
            feed.cancel()

    async def serve(self, context: Context, *, after: int | None) -> None:
        """Send events to one watcher until either side ends it.

        Args:
            after: the revision that the watcher has; None: it begins now.

        Raises:
            Fault: 503, there are too many, or the stream has ended and is to be called again.
        """
        if self._closing or len(self._feeds) >= MAX_STREAMS:
            raise Fault(TOO_MANY_STREAMS, "Close another stream first.", headers={"Retry-After": "10"})
        backlog: Backlog = asyncio.Queue(MAX_BACKLOG)
        feed = asyncio.create_task(feed_events(self._backend, backlog, after=after))
        self._feeds.add(feed)
        try:
            await asyncio.sleep(0)  # the feed subscribes in its first step, and the headers say that it has
            await context.send_initial_metadata(())
            await self._pass_on(feed, backlog, context)
        finally:
            feed.cancel()
            self._feeds.discard(feed)
        raise Fault(WATCH_ENDED, "Watch again, after the last revision that came.", headers={"Retry-After": "1"})

    async def _pass_on(self, feed: asyncio.Task[None], backlog: Backlog, context: Context) -> None:
        write = asyncio.create_task(self._write(context, backlog))
        stuck = False
        try:
            await asyncio.wait({feed, write}, return_when=asyncio.FIRST_COMPLETED)
            if feed.done() and not feed.cancelled() and feed.exception() is None:
                # What the source left behind: a watcher that has not taken it in by then never will.
                stuck = not (await asyncio.wait({write}, timeout=self._send_timeout_seconds))[0]
        finally:
            feed.cancel()
            write.cancel()
            ends = await asyncio.gather(feed, write, return_exceptions=True)
        if stuck or isinstance(ends[1], TimeoutError):
            log.info("a watcher over gRPC is too slow and was cut off")
            return
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _write(self, context: Context, backlog: Backlog) -> None:
        while (event := await backlog.get()) is not None:
            async with asyncio.timeout(self._send_timeout_seconds):
                await context.write(filled(control_pb2.Event(), event))
