"""What one step of a fleet changes: the names, whom pools name no more, and who stays out."""

from __future__ import annotations

from dataclasses import dataclass, field

from dnsd.core.records import Overlay
from dnsd.model.drain import Drain
from dnsd.model.report import Health


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A node that a pool no longer names.

    Args:
        role: the role in which it was named.
        ttl: seconds for which a cache may still hold it.
        owner: the pool.
    """

    node: str
    role: str
    ttl: int
    owner: str = ""


@dataclass(slots=True)
class OverlayChange:
    """What one step does to the overlay.

    Args:
        put: overlay nodes that are new or different.
        removed: names that leave it.
        withdrawn: nodes that pools stopped naming.
        kept_out: (node, role) whose last drain ended, and that stay out of the pools because they are not known to
            be up.
        health: (node, role) whose health became another one, with the one that it had; of those that are in a pool.
        started: scheduled drains whose time has come.
        pools: owners of the pools that were compiled.
        touched: nodes of which a mode, a health, a share or anything of the inventory may have changed, in a pool or
            not, or that are gone.
    """

    put: Overlay = field(default_factory=dict)
    removed: set[bytes] = field(default_factory=set)
    withdrawn: list[Withdrawal] = field(default_factory=list)
    kept_out: dict[tuple[str, str], Health] = field(default_factory=dict)
    health: dict[tuple[str, str], Health] = field(default_factory=dict)
    started: list[Drain] = field(default_factory=list)
    pools: list[str] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)

    @property
    def empty(self) -> bool:
        """Say whether no answer changes, and no node is named by less than before."""
        # A node can leave a pool whose answers stay as they are: another node has its address.
        return not self.put and not self.removed and not self.withdrawn
