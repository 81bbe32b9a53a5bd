"""The router's library: nodes for new sessions, by drains, health, weight, sessions and region.

`docs/router.md` tells how it is used. It imports no HTTP: the service is `dnsd.router.service`.
"""

from dnsd.router.errors import AllDown, AllDrained, AllExcluded, NoNode, NoNodes, NotFollowing, NotLoaded, UnknownRole
from dnsd.router.fleet_view import FleetView
from dnsd.router.members import Purpose
from dnsd.router.selection import Choice, RolePolicy, Router

__all__ = [
    "AllDown",
    "AllDrained",
    "AllExcluded",
    "Choice",
    "FleetView",
    "NoNode",
    "NoNodes",
    "NotFollowing",
    "NotLoaded",
    "Purpose",
    "RolePolicy",
    "Router",
    "UnknownRole",
]
