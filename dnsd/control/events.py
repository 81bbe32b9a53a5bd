"""State changes as they happen, for whoever listens.

It keeps the last ones so that a listener that lost its connection can go on where it was. A listener that does not
keep up is cut off rather than held in memory without bound.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from dnsd.api.schemas import Event
from dnsd.errors import ChangesTrimmed

# What can be resumed after a lost connection. Unit: events.
EVENTS_KEPT = 10_000

# What may wait for one listener before it is cut off. Unit: events.
LISTENER_BACKLOG = 1_000


class EventHub:
    """Hands every event to every listener.

    Args:
        revision: the revision up to which nothing can be resumed any more.
    """

    def __init__(self, *, revision: int) -> None:
        self._since = revision
        self._kept: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._closed = False

    def publish(self, event: Event, *, kept: bool = True) -> None:
        """Hand out an event; never waits.

        Args:
            kept: whoever resumes after a lost connection gets it as well.
        """
        if kept:
            self._keep(event)
        for queue in tuple(self._listeners):
            if queue.qsize() >= LISTENER_BACKLOG:
                self._listeners.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    def _keep(self, event: Event) -> None:
        if len(self._kept) == EVENTS_KEPT and self._kept[0].revision is not None:
            self._since = self._kept[0].revision
        self._kept.append(event)

    async def listen(self, *, after: int | None) -> AsyncIterator[Event]:
        """Yield events as they come, until the hub closes or the listener falls behind.

        Args:
            after: a revision; first come the kept events that follow it. None: only what comes from now on.

        Raises:
            ChangesTrimmed: events after that revision are no longer kept, or it lies in the future.
        """
        missed: list[Event] = []
        if after is not None:
            missed = self._kept_after(after)
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        if not self._closed:
            self._listeners.add(queue)
        else:
            queue.put_nowait(None)
        try:
            for event in missed:
                yield event
            while (next_event := await queue.get()) is not None:
                yield next_event
        finally:
            self._listeners.discard(queue)

    def skip_to(self, revision: int) -> None:
        """Note that changes up to a revision were missed: what is kept leads nowhere, and listeners begin anew."""
        self._kept.clear()
        self._since = revision
        self._end_listeners()

    def close(self) -> None:
        """End every listener, and those that come."""
        self._closed = True
        self._end_listeners()

    def _end_listeners(self) -> None:
        for queue in self._listeners:
            queue.put_nowait(None)
        self._listeners.clear()

    def _kept_after(self, revision: int) -> list[Event]:
        last = max((event.revision for event in self._kept if event.revision is not None), default=self._since)
        if not self._since <= revision <= last:
            raise ChangesTrimmed(f"events after revision {revision} are not kept; they begin after {self._since}")
        place = 0
        for index, event in enumerate(self._kept):
            if event.revision is not None and event.revision <= revision:
                place = index + 1
        return list(self._kept)[place:]
