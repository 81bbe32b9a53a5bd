"""What routers say of themselves over HTTP, written to the store as if they had written it there.

From there on they are consumers like all others, for this server and for those that share the store. It owns whose word
is taken, what it counts for, and when it is written: a word that says something else than the one before at once, and
before it is answered; a mere sign of life a moment later, together with others'. It knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from dnsd.api.schemas import ConsumerOutcome, ConsumerRemoval, ConsumerRequest
from dnsd.config.settings import Settings
from dnsd.control.consumers import DNS_KIND, Consumers
from dnsd.control.farservers import SECONDARY_KIND
from dnsd.control.others import DEAF_SECONDS, ROUTER_KIND
from dnsd.control.publisher import Publisher
from dnsd.control.storehealth import StoreHealth
from dnsd.errors import ConsumerConflict, InvalidRequest, StoreUnavailable, TooManyConsumers
from dnsd.model.node import HOLDER
from dnsd.model.state import Consumer
from dnsd.stores.base import DrainStore
from dnsd.stores.following import SharedRead

# How long a sign of life may wait for others: those of a thousand routers are five hundred a second. Little beside the
# silence after which a router is not waited for. Unit: seconds.
GATHER_SECONDS = 1.0

# That a fleet has, the silent ones included. Each is read at every look and stands for a day, and whoever has a token
# that is bound to no id may make up ever new ones. A server has connections for less than two hundred. Unit: routers.
MAX_ROUTERS = 5000


class RouterWords:
    """Takes routers' words.

    Args:
        consumers: knows who is there already.
        settings: gives those of now.
        clock: gives the present instant; a router's own may be wrong, and is not asked.
    """

    def __init__(
        self,
        store: DrainStore,
        consumers: Consumers,
        publisher: Publisher,
        *,
        health: StoreHealth,
        settings: Callable[[], Settings],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._consumers = consumers
        self._publisher = publisher
        self._health = health
        self._settings = settings
        self._clock = clock
        self._written: dict[str, Consumer] = {}  # the last word of each that was written here
        self._signs: dict[str, Consumer] = {}  # are written next
        self._under_way: Mapping[str, Consumer] = {}
        self._turn = asyncio.Lock()
        # A fleet of routers that starts at once is looked up at once.
        self._looked: SharedRead[bool] = SharedRead(consumers.look, rest_seconds=lambda _: 0.0)

    async def run(self) -> None:
        """Write signs of life until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + GATHER_SECONDS
            await asyncio.sleep(GATHER_SECONDS)
            if loop.time() - due > DEAF_SECONDS:
                self._signs.clear()  # this server was held up: since then, the routers may have told another one more
            await self.write_signs()

    async def write_signs(self) -> None:
        """Write the signs of life that have come; a store that does not take them is told of by those that follow."""
        async with self._turn:
            self._under_way, self._signs = self._signs, {}
            try:
                if self._under_way:
                    await self._store.heartbeats(tuple(self._under_way.values()))
                    self._health.was_written()
            except StoreUnavailable as error:
                self._health.failed_to_write(error)
            finally:
                self._under_way = {}
        self._written = {key: each for key, each in self._written.items() if self._consumers.other(key) is not None}

    async def take(self, key: str, request: ConsumerRequest) -> ConsumerOutcome:
        """Keep what a router says of itself, and answer where this server is.

        What is listed after the answer has been made is of the revision in it, or of a later one.

        Raises:
            InvalidRequest: the id cannot be one.
            ConsumerConflict: it belongs to something else.
            TooManyConsumers: it would be one router too many.
            StoreUnavailable: it was not written.
        """
        known = await self._router_at(key)
        if known is None and self._consumers.count(ROUTER_KIND) >= MAX_ROUTERS:
            raise TooManyConsumers(
                f"{MAX_ROUTERS} routers are known, the silent ones included: say goodbye for those that are gone"
            )
        applied = self._counted(request)
        now = self._clock()
        said = Consumer(id=key, kind=ROUTER_KIND, applied=applied, applied_at=now, seen_at=now, mark=request.mark)
        same = [each for each in (self._written.get(key), known) if each is not None and _is_word(each, said)]
        if same:
            said = replace(said, applied_at=same[0].applied_at)
        # One that has just come up says 0: that is never a mere sign, though it may have said the same in another life.
        if applied and len(same) == 2:
            await self._keep_sign(said)
        else:
            await self._write(said)
        fleet = self._publisher.fleet
        return ConsumerOutcome(
            id=key, kind=ROUTER_KIND, applied_revision=applied, revision=fleet.revision, mark=fleet.mark
        )

    async def forget(self, key: str) -> ConsumerRemoval:
        """Take a router that has ended out of the store, so that nobody waits for it; harmless for an unknown one.

        Raises:
            InvalidRequest, ConsumerConflict, StoreUnavailable: as `take`.
        """
        await self._router_at(key)
        await self._overtake_signs(key)
        self._written.pop(key, None)
        try:
            await self._store.forget_consumer(key)
        except StoreUnavailable as error:
            self._health.failed_to_write(error)
            raise
        self._health.was_written()
        self._consumers.left(key)
        return ConsumerRemoval(id=key, revision=self._publisher.fleet.revision)

    async def _write(self, said: Consumer) -> None:
        await self._overtake_signs(said.id)
        self._written[said.id] = said
        try:
            await self._store.heartbeat(said)
        except StoreUnavailable as error:
            self._written.pop(said.id, None)
            self._health.failed_to_write(error)
            raise
        self._health.was_written()

    async def _keep_sign(self, said: Consumer) -> None:
        """Have a sign of life written with others; while the store takes none by itself, so that the router is told."""
        if self._health.up:
            self._signs[said.id] = said
        else:
            await self._write(said)

    async def _overtake_signs(self, key: str) -> None:
        """See to it that no sign of life of a router is written after what comes now."""
        self._signs.pop(key, None)
        if key in self._under_way:
            async with self._turn:
                pass

    def _counted(self, request: ConsumerRequest) -> int:
        """Return what a word counts for.

        A router may honestly be ahead of this server, by another one of the fleet; or it comes from writes that the
        store has lost, and then says too much. By the mark the store tells them apart whenever it is read. Without a
        mark nobody can: until this server has come so far itself, it counts for nothing.
        """
        is_ahead = request.applied_revision > self._publisher.fleet.revision
        return 0 if is_ahead and not request.mark else request.applied_revision

    async def _router_at(self, key: str) -> Consumer | None:
        """Return the router that has said something under an id; None: nobody has.

        Raises:
            InvalidRequest: the id cannot be one.
            ConsumerConflict: it is not a router's.
            StoreUnavailable: nobody knows whose it is.
        """
        if not HOLDER.fullmatch(key):
            raise InvalidRequest(
                f"{key!r} cannot be a consumer's id: letters, digits and _ . @ : - , at most 128", field="id"
            )
        settings = self._settings()
        if key == settings.server_id:
            raise _conflict(key, DNS_KIND)
        if settings.transfer is not None and any(each.name == key for each in settings.transfer.secondaries):
            raise _conflict(key, SECONDARY_KIND)
        known = self._consumers.other(key)
        if known is None:
            # One that came up since the last look must not lose its place to a router.
            if not await self._looked.read():
                raise StoreUnavailable(f"the store does not tell now whose id {key} is")
            known = self._consumers.other(key)
        if known is not None and known.kind != ROUTER_KIND:
            raise _conflict(key, known.kind)
        return known


def _is_word(one: Consumer, other: Consumer) -> bool:
    return (one.applied, one.mark) == (other.applied, other.mark)


def _conflict(key: str, kind: str) -> ConsumerConflict:
    return ConsumerConflict(f"{key} is the id of a consumer of the kind {kind}: give the router its own", field="id")
