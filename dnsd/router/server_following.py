"""A view of the fleet kept by a server's HTTP interface, for fleets without a shared store.

Events are taken as a bell: whatever rings, nodes and drains are read anew, so that nothing depends on what an event
says. A server knows no routers over HTTP, so that nothing is acknowledged and `--wait applied` does not wait.

Servers of a fleet come to a revision one after the other, and one that is cut off from the store stays behind: so a
lower revision than the one that is obeyed is believed only where it is met again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from dnsd.api.client import Client
from dnsd.api.errors import ClientError
from dnsd.api.exchange import Exchange
from dnsd.api.schemas import DrainInfo, NodeInfo
from dnsd.model.drain import Drain, Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.report import Health
from dnsd.model.state import FleetState
from dnsd.router.fleet_view import FleetView, Told
from dnsd.router.server_standing import ASK_SECONDS, Standing, standing_of

log = logging.getLogger("dnsd.router")

# It is looked so often even where nothing rings: an event may fall between two connections. Unit: seconds.
LOOK_SECONDS = 2.0

# Events that come together lead to one look. Unit: seconds.
GATHER_SECONDS = 0.005

# Between attempts while no server answers. Unit: seconds.
RETRY_SECONDS = 0.5

# So many looks in a row, each at the next server, must find a lower revision before one is obeyed: then the store has
# lost writes, or was put back.
BACKWARD_LOOKS = 3

# So often a server that is cut off from its store is looked at before the others are tried again. Unit: looks.
CUT_OFF_LOOKS = 5


class _PassedOver(Exception):
    """What this server knows is not obeyed now: the next one may know better."""


class ServerFollower:
    """Keeps a view by one of several servers, the next one where one does not answer.

    Args:
        servers: URLs, one or more.
        token: that may read; None: none is sent.

    Attributes:
        up, heard_at: as those of `StoreFollower`.
        acknowledged: nothing ever is.
    """

    acknowledged = 0

    def __init__(
        self,
        servers: Sequence[str],
        view: FleetView,
        *,
        token: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.up = False
        self.heard_at: float | None = None
        self._servers = list(servers)
        self._view = view
        self._token = token
        self._clock = clock
        self._rung = asyncio.Event()
        self._revision = 0  # of the server's state that is obeyed
        self._backward = 0  # looks in a row that found a lower one
        self._cut_off = 0  # looks in a row at servers that are cut off from their store

    @property
    def label(self) -> str:
        """What people call what it follows."""
        return self._servers[0]

    async def run(self) -> None:
        """Follow until cancelled; an outage is waited out."""
        while True:
            try:
                server, token = self._servers[0], self._token
                async with (
                    Client(server, token=token) as client,
                    Exchange(server, token=token, timeout_seconds=ASK_SECONDS) as exchange,
                ):
                    await self._follow(client, exchange)
            except (ClientError, _PassedOver) as error:
                self._failed(error)
            self._servers.append(self._servers.pop(0))
            await asyncio.sleep(RETRY_SECONDS)

    async def leave(self) -> None:
        """Nobody waits for it."""

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
        standing = await standing_of(exchange)
        self._check(standing)
        nodes, drains = await client.nodes(), await client.drains()
        state = state_of(nodes.items, drains.items, revision=standing.revision)
        self._revision, self._backward = state.revision, 0
        now = self._clock()
        self._view.take_told(told_of(nodes.items), now=now)
        self._view.replace(state, now=now)
        self.heard_at = now
        if not self.up:
            self.up = True
            log.info("%s: %d nodes, %d drains", self.label, len(nodes.items), len(drains.items))

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
        if self.up or self.heard_at is None:
            log.warning("%s; %s", error, "obeying what is known" if self._view.loaded else "naming nobody until it is")
        self.up = False


def state_of(nodes: Sequence[NodeInfo], drains: Sequence[DrainInfo], *, revision: int) -> FleetState:
    """Return what a server lists as a state.

    Args:
        revision: at which the server was before it listed them; a drain may be newer.
    """
    made = [drain for info in drains for drain in _drains_of(info)]
    return FleetState(
        revision=max((revision, *(each.revision for each in made))),
        nodes={info.id: _node_of(info) for info in nodes},
        drains={each.key: each for each in made},
    )


def told_of(nodes: Sequence[NodeInfo]) -> dict[tuple[str, str], Told]:
    """Return the health of each node and role, and how far a ramp has come."""
    return {
        (info.id, role): Told(
            health=Health(state.health), share=1.0 if state.ramp is None else max(state.ramp.percent, 1) / 100
        )
        for info in nodes
        for role, state in info.roles.items()
    }


def _node_of(info: NodeInfo) -> Node:
    return Node(
        id=info.id,
        addresses=tuple(info.addresses),
        roles=tuple(info.roles),
        region=info.region,
        cluster=info.cluster,
        location=(info.location[0], info.location[1]) if info.location else None,
        weight=info.weight,
        labels=info.labels,
        ports=info.ports,
        priority=info.priority,
        monitor=Monitor(info.monitor),
        configured=info.configured,
    )


def _drains_of(info: DrainInfo) -> list[Drain]:
    return [
        Drain(
            node=info.node,
            role=role,
            holder=info.holder,
            mode=Mode.of(info.mode),
            reason=info.reason,
            actor=info.actor,
            created_at=info.created_at,
            starts_at=info.starts_at,
            expires_at=info.expires_at,
            revision=info.revision,
            forced=info.forced,
        )
        for role in info.roles
    ]
