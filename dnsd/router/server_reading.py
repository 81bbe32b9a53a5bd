"""What a server lists of nodes and drains, read as a state, and of which revision it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dnsd.api.client import Client
from dnsd.api.schemas import DrainInfo, NodeInfo
from dnsd.model.drain import Drain, Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.report import Health
from dnsd.model.state import FleetState
from dnsd.router.fleet_view import Told

# How often drains are read again because they changed from one page to the next. Unit: readings.
MAX_READINGS = 3


@dataclass(frozen=True, slots=True)
class Listed:
    """What a server listed.

    Args:
        since: the lowest revision that any of it is of; None: not all of it names one.
        is_whole: no drain can have been missed between two pages.
    """

    nodes: Sequence[NodeInfo]
    drains: Sequence[DrainInfo]
    since: int | None
    is_whole: bool

    def state(self, *, revision: int) -> FleetState:
        """Return it as a state.

        Args:
            revision: at which the server was before it listed anything; a drain may be newer.
        """
        made = [drain for info in self.drains for drain in _drains_of(info)]
        return FleetState(
            revision=max((revision, *(each.revision for each in made))),
            nodes={info.id: _node_of(info) for info in self.nodes},
            drains={each.key: each for each in made},
        )

    def told(self) -> dict[tuple[str, str], Told]:
        """Return the health of each node and role, and how far a ramp has come."""
        return {
            (info.id, role): Told(
                health=Health(state.health), share=1.0 if state.ramp is None else max(state.ramp.percent, 1) / 100
            )
            for info in self.nodes
            for role, state in info.roles.items()
        }


async def read_fleet(client: Client) -> Listed:
    """Read nodes and drains, in this order: no node is taken without the drains that it had.

    Raises:
        ClientError: the server cannot be asked, or answers something else.
    """
    nodes = await client.list_nodes()
    for _ in range(MAX_READINGS):
        drains = await client.list_drains()
        # What one holder has ordered is listed on the same terms as one: a change may move it before the page's end.
        if is_whole := len(drains.revisions) == 1 or _are_one(drains.revisions):
            break
    since = _lowest([*nodes.revisions, *drains.revisions])
    return Listed(nodes.items, drains.items, since, is_whole)


def _are_one(revisions: Iterable[int | None]) -> bool:
    found = set(revisions)
    return len(found) == 1 and None not in found


def _lowest(revisions: Iterable[int | None]) -> int | None:
    lowest: int | None = None
    for each in revisions:
        if each is None:
            return None
        lowest = each if lowest is None else min(lowest, each)
    return lowest


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
