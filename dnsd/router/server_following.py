"""A view of the fleet kept by a server's HTTP interface, for fleets without a shared store.

Events are taken as a bell: whatever rings, nodes and drains are read anew, so that nothing depends on what an event
says. Each look begins with the router's word to the server, so that a drain is either in what is read next, or the
router is among those that are waited for; what was read is obeyed before it is acknowledged.

Servers of a fleet come to a revision one after the other, and one that is cut off from the store stays behind: so a
lower revision than the one that is obeyed is believed only where it is met again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from dnsd.api.client import Client
from dnsd.api.errors import ApiError, ClientError
from dnsd.api.exchange import Exchange
from dnsd.router.fleet_view import FleetView
from dnsd.router.server_announcing import Announcer
from dnsd.router.server_reading import read_fleet
from dnsd.router.server_standing import ASK_SECONDS, NOTHING, Standing, Word, standing_of
from dnsd.together import until_one_ends

log = logging.getLogger("dnsd.router")

# It is looked so often even where nothing rings: an event may fall between two connections. Unit: seconds.
LOOK_SECONDS = 2.0

# Events that come together lead to one look. Unit: seconds.
GATHER_SECONDS = 0.005

# Between attempts while no server answers. Unit: seconds.
RETRY_SECONDS = 0.5

# For the answer to a word, where there is a next server. That one has the word before anybody takes the router as
# silent, which is after 10 s; so has the third one where two have stopped, after a heartbeat and twice this time with
# the pause behind it. Unit: seconds.
WORD_SECONDS = 3.0

# So many looks in a row, each at the next server, must find a lower revision before one is obeyed: then the store has
# lost writes, or was put back.
BACKWARD_LOOKS = 3

# So often a server that is cut off from its store is looked at before the others are tried again. Unit: looks.
CUT_OFF_LOOKS = 5

# Why servers did not answer at the start: each is told once. Unit: reasons.
REASONS_REMEMBERED = 32


class _PassedOver(Exception):
    """What this server knows is not obeyed now: the next one may know better."""


class ServerFollower:
    """Keeps a view by one of several servers, the next one where one does not answer.

    Args:
        servers: URLs, one or more.
        id: the consumer's; two of one id hide each other.
        token: that may read, and speak for the consumer; None: none is sent.

    Attributes:
        up, heard_at: as those of `StoreFollower`.
    """

    def __init__(
        self,
        servers: Sequence[str],
        view: FleetView,
        *,
        id: str,  # noqa: A002 - as the store calls it
        token: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.up = False
        self.heard_at: float | None = None
        self._servers = list(servers)
        self._view = view
        self._token = token
        self._clock = clock
        self._announcer = Announcer(id, token=token, word_seconds=WORD_SECONDS if len(servers) > 1 else ASK_SECONDS)
        self._rung = asyncio.Event()
        self._revision = 0  # of the server's state that is obeyed
        self._backward = 0  # looks in a row that found a lower one
        self._cut_off = 0  # looks in a row at servers that are cut off from their store
        self._told: deque[str] = deque(maxlen=REASONS_REMEMBERED)

    @property
    def label(self) -> str:
        """What people call what it follows."""
        return self._servers[0]

    @property
    def acknowledged(self) -> int:
        """The revision that the server has our word for; 0: none."""
        return self._announcer.acknowledged

    async def run(self) -> None:
        """Follow until cancelled; an outage is waited out."""
        while True:
            try:
                server, token = self._servers[0], self._token
                async with (
                    Client(server, token=token) as client,
                    Exchange(server, token=token, timeout_seconds=ASK_SECONDS) as exchange,
                ):
                    # A list may be long on its way; a word that does not arrive ends the wait for it.
                    await until_one_ends(self._follow(client, exchange), self._announcer.go_on(client))
            except (ClientError, _PassedOver) as error:
                self._failed(error)
            self._servers.append(self._servers.pop(0))
            await asyncio.sleep(RETRY_SECONDS)

    async def leave(self) -> None:
        """Say that the router has ended, so that nobody waits for it; to be called when `run` has ended."""
        await self._announcer.leave()

    async def _follow(self, client: Client, exchange: Exchange) -> None:
        """Look whenever something rings, until the server fails."""
        listening = asyncio.create_task(self._listen(client))
        try:
            while True:
                self._rung.clear()
                await self._look(client, exchange)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._rung.wait()
                        await asyncio.sleep(GATHER_SECONDS)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, client: Client) -> None:
        while True:
            with contextlib.suppress(ClientError):  # the next look finds the same, and tells of it
                async with contextlib.aclosing(client.events()) as events:
                    async for _ in events:
                        self._rung.set()
            await asyncio.sleep(RETRY_SECONDS)

    async def _look(self, client: Client, exchange: Exchange) -> None:
        told = await self._announcer.say(client)  # before anything is read
        standing = await standing_of(exchange, told)
        self._check(standing)
        listed = await read_fleet(client)
        if listed.since is not None and listed.since < standing.revision:
            reason = f"lists revision {listed.since} after {standing.revision}: one URL for several servers?"
            raise _PassedOver(f"{self.label} {reason}")
        state = listed.state(revision=standing.revision)
        self._revision, self._backward = state.revision, 0
        now = self._clock()
        self._view.take_told(listed.told(), now=now)
        self._view.replace(state, now=now)
        self.heard_at = now
        if not self.up:
            self.up = True
            log.info("%s: %d nodes, %d drains", self.label, len(listed.nodes), len(state.drains))
        # Of what may be missing in it, or is of a revision whose mark is not known, nothing is acknowledged.
        is_known = told is not None and listed.since is not None and listed.is_whole
        await self._acknowledge(client, told if told is not None and is_known else NOTHING)

    async def _acknowledge(self, client: Client, obeyed: Word) -> None:
        """Have the server told at once how far the view has come."""
        if obeyed == self._announcer.obeyed:
            return
        self._announcer.obeyed = obeyed
        now_at = await self._announcer.say(client)
        if now_at is not None and now_at != obeyed:
            self._rung.set()  # it has gone on meanwhile; its event may have come before

    def _check(self, standing: Standing) -> None:
        """Pass over a server that is behind what is obeyed, or cut off from its store while another may not be."""
        if standing.is_cut_off:
            self._cut_off += 1
            count = len(self._servers)
            if self._cut_off % (count + CUT_OFF_LOOKS) < count and count > 1:
                raise _PassedOver(f"{self.label} is cut off from its store")
        else:
            self._cut_off = 0
        if standing.revision >= self._revision:
            return
        # Nothing is lost where the store is not there to be asked: such a server has just not heard of it.
        self._backward += not standing.is_cut_off
        if self._backward < BACKWARD_LOOKS or standing.is_cut_off:
            raise _PassedOver(f"{self.label} is at revision {standing.revision}, behind {self._revision}")
        log.error("%s: revision %d counts again, after %d", self.label, standing.revision, self._revision)

    def _failed(self, error: ClientError | _PassedOver) -> None:
        why = f"{self.label}: {error}" if isinstance(error, ApiError) else str(error)
        if self.up or (self.heard_at is None and why not in self._told):
            self._told.append(why)
            log.warning(
                "%s; %s", why, "obeying what is known" if self._view.loaded else "naming nobody before it answers"
            )
        self.up = False
