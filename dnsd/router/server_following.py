"""A view of the fleet kept by a server's HTTP interface, for fleets without a shared store.

Events are taken as a bell: whatever rings, nodes and drains are read anew, so that nothing depends on what an event
says. A server knows no routers over HTTP, so that nothing is acknowledged and `--wait applied` does not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from dnsd.api.client import Client
from dnsd.api.errors import ClientError
from dnsd.api.schemas import DrainInfo, NodeInfo
from dnsd.model.drain import Drain, Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.report import Health
from dnsd.model.state import FleetState
from dnsd.router.fleet_view import FleetView, Told

log = logging.getLogger("dnsd.router")

# It is looked so often even where nothing rings: an event may fall between two connections. Unit: seconds.
LOOK_SECONDS = 2.0

# Events that come together lead to one look. Unit: seconds.
GATHER_SECONDS = 0.005

# Between attempts while no server answers. Unit: seconds.
RETRY_SECONDS = 0.5


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

    @property
    def label(self) -> str:
        """What people call what it follows."""
        return self._servers[0]

    async def run(self) -> None:
        """Follow until cancelled; an outage is waited out."""
        while True:
            try:
                async with Client(self._servers[0], token=self._token) as client:
                    await self._follow(client)
            except ClientError as error:
                self._failed(error)
            self._servers.append(self._servers.pop(0))
            await asyncio.sleep(RETRY_SECONDS)

    async def leave(self) -> None:
        """Nobody waits for it."""

    async def _follow(self, client: Client) -> None:
        """Look whenever something rings, until the server fails."""
        listening = asyncio.create_task(self._listen(client))
        try:
            while True:
                self._rung.clear()
                await self._look(client)
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

    async def _look(self, client: Client) -> None:
        nodes, drains = await client.nodes(), await client.drains()
        state = state_of(nodes.items, drains.items)
        now = self._clock()
        self._view.take_told(told_of(nodes.items), now=now)
        self._view.replace(state, now=now)
        self.heard_at = now
        if not self.up:
            self.up = True
            log.info("%s: %d nodes, %d drains", self.label, len(nodes.items), len(drains.items))

    def _failed(self, error: ClientError) -> None:
        if self.up or self.heard_at is None:
            log.warning("%s; %s", error, "obeying what is known" if self._view.loaded else "naming nobody until it is")
        self.up = False


def state_of(nodes: Sequence[NodeInfo], drains: Sequence[DrainInfo]) -> FleetState:
    """Return what a server lists as a state; its revision is the highest that a drain names."""
    made = [drain for info in drains for drain in _drains_of(info)]
    return FleetState(
        revision=max((each.revision for each in made), default=0),
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
