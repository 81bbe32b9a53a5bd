"""Who applies drains by a Redis, and how far each has come: all of it at once, for everybody who asks.

It owns the reading of consumers. Routers of other people write them: what of it cannot be read is told once and left
out.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from redis.asyncio import Redis

from dnsd.model.state import Consumer
from dnsd.stores.following import SharedRead
from dnsd.stores.redis import layout, scripts
from dnsd.stores.redis.link import Link

log = logging.getLogger(__name__)

# How long to rest after a read, for each consumer that it found: those of a large fleet speak all the time, and to read
# them takes a while. Unit: seconds.
REST_SECONDS_EACH = 40e-6

# The longest such rest. Unit: seconds.
LONGEST_REST_SECONDS = 0.1


class RollCall:
    """Reads the consumers of one prefix; those who ask at the same time share one read.

    Args:
        label: what people call the store.
    """

    def __init__(self, link: Link, keys: layout.Keys, *, label: str) -> None:
        self._link = link
        self._names = (keys.consumers, keys.changes, keys.revision)
        self._label = label
        self._shared = SharedRead(self._read, rest_seconds=_rest_seconds)
        # What each wrote the last time, and what it means; None: it cannot be read.
        self._known: dict[str, tuple[str, Consumer | None]] = {}
        self._told: set[str] = set()  # of those that are there

    async def read(self) -> tuple[Consumer, ...]:
        """Return every consumer, by id, as of a moment after the call."""
        return await self._shared.read()

    async def _read(self) -> tuple[Consumer, ...]:
        async def read(client: Redis) -> list[tuple[str, str, int]]:
            found: list[tuple[str, str, int]] = await client.register_script(scripts.CONSUMERS)(self._names)
            return found

        answer = sorted(await self._link.run(read))
        self._known = {key: self._understood(key, text) for key, text, _ in answer}
        self._told &= self._known.keys()
        found = ((self._known[key][1], agrees) for key, _, agrees in answer)
        return tuple(each if agrees else replace(each, applied=0) for each, agrees in found if each is not None)

    def _understood(self, key: str, text: str) -> tuple[str, Consumer | None]:
        before = self._known.get(key)
        if before is not None and before[0] == text:
            return before
        try:
            return text, layout.read_consumer(key, text)
        except ValueError as error:
            self._tell(key, error)
            return text, None

    def _tell(self, key: str, error: ValueError) -> None:
        if key not in self._told:
            self._told.add(key)
            log.error(
                "%s: the consumer %s wrote what cannot be read, and is not waited for: %s", self._label, key, error
            )


def _rest_seconds(found: tuple[Consumer, ...]) -> float:
    return min(len(found) * REST_SECONDS_EACH, LONGEST_REST_SECONDS)
