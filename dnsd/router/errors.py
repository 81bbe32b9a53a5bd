"""Why there is no node for a request.

DnsdError
└── NoNode
    ├── NotLoaded     the drains are not loaded yet
    ├── NotFollowing  drains are followed no more: what followed them has failed
    ├── UnknownRole   no node has the role, and no configuration names it
    ├── NoNodes       no node with a weight above 0 has the role
    ├── AllDrained    each of them is drained; carries the drains
    ├── AllDown       those that are not drained are not healthy, and the role does not fail open
    ├── NoUrl         nodes there are, and none that clients can be redirected to
    └── AllExcluded   the request itself excludes those that there are
"""

from __future__ import annotations

from collections.abc import Sequence

from dnsd.errors import DnsdError
from dnsd.model.drain import Drain


class NoNode(DnsdError):
    """No node can be chosen now.

    Attributes:
        id: stable; what an answer over HTTP calls it.
        passes: to ask again later may help.
    """

    id = "no-node"
    passes = True


class NotLoaded(NoNode):
    """The router does not know the drains yet, and names nobody before it does."""

    id = "not-ready"


class NotFollowing(NoNode):
    """What followed the drains has failed: nobody is named by what was known then. Open the router anew."""

    id = "not-following"
    passes = False


class UnknownRole(NoNode):
    """Nobody has heard of the role."""

    id = "unknown-role"
    passes = False


class NoNodes(NoNode):
    """No node has the role."""

    id = "no-nodes"


class AllDrained(NoNode):
    """Every node of the role is drained.

    Args:
        drains: those in force, by node.
    """

    id = "all-drained"

    def __init__(self, detail: str, *, drains: Sequence[Drain]) -> None:
        super().__init__(detail)
        self.drains = tuple(drains)


class AllDown(NoNode):
    """No undrained node of the role is healthy."""

    id = "all-down"


class AllExcluded(NoNode):
    """The request excludes every node that it could be given."""

    id = "all-excluded"


class NoUrl(NoNode):
    """No node that the request could be redirected to has all that its role's URL is made of."""

    id = "no-url"
