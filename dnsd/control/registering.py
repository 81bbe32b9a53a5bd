"""From a request to the node that it registers: what makes sense, and what its caller may ask for.

It knows neither the fleet nor the store: whether the node may be written is the inventory's to decide.
"""

from __future__ import annotations

import math

from dnsd.api.schemas import NodeRequest
from dnsd.config.settings import Scope
from dnsd.control.actor import Actor
from dnsd.control.roles import require_known
from dnsd.errors import InvalidRequest, NotAllowed
from dnsd.model.node import NODE_ID, Monitor, Node, canonical_address

# The most addresses, labels or roles of one node: an inventory entry, not a dump. Unit: entries.
MAX_ENTRIES = 64
MAX_TEXT_SIZE = 255  # characters of a region, cluster, label key or label value


def node_from(key: str, request: NodeRequest, *, roles: tuple[str, ...], actor: Actor) -> Node:
    """Return the node that a request asks for.

    Args:
        roles: those that the configuration has.

    Raises:
        InvalidRequest: a value makes no sense.
        NotAllowed: an agent would choose what watches its node.
    """
    # With another monitor, no report is waited for: the node would be out of what watches it, by its own word.
    if actor.scope is Scope.AGENT and request.monitor != Monitor.AGENT.value:
        detail = f'An agent registers its node with monitor = "agent" alone, not "{request.monitor}".'
        raise NotAllowed(detail, field="monitor")
    if not NODE_ID.fullmatch(key):
        raise InvalidRequest(f"{key!r} cannot be a node: one DNS label of letters, digits, - and _", field="node")
    if not request.roles:
        raise InvalidRequest("a node has at least one role", field="roles")
    for role in request.roles:
        require_known(role, roles, field="roles")
    if not request.addresses:
        raise InvalidRequest("a node has at least one address", field="addresses")
    _check_sizes(request)
    for role in request.ports:
        if role not in request.roles:
            raise InvalidRequest(f"the node does not have the role {role!r}", field="ports")
    try:
        addresses = tuple(dict.fromkeys(canonical_address(text) for text in request.addresses))
    except ValueError as error:
        raise InvalidRequest(str(error), field="addresses") from None
    return Node(
        id=key,
        addresses=addresses,
        roles=tuple(dict.fromkeys(request.roles)),
        region=request.region,
        cluster=request.cluster,
        location=_location(request.location),
        weight=request.weight,
        labels=dict(request.labels),
        ports=dict(request.ports),
        priority=request.priority,
        monitor=Monitor(request.monitor),
    )


def _check_sizes(request: NodeRequest) -> None:
    for field in ("addresses", "roles", "labels"):
        if len(getattr(request, field)) > MAX_ENTRIES:
            raise InvalidRequest(f"more than {MAX_ENTRIES} {field}", field=field)
    texts = [("region", request.region), ("cluster", request.cluster)]
    texts += [("labels", text) for pair in request.labels.items() for text in pair]
    for field, text in texts:
        if text is not None and len(text) > MAX_TEXT_SIZE:
            raise InvalidRequest(f"longer than {MAX_TEXT_SIZE} characters", field=field)


def _location(value: list[float] | None) -> tuple[float, float] | None:
    if value is None:
        return None
    if len(value) != 2 or not all(math.isfinite(part) for part in value):
        raise InvalidRequest("a location is [latitude, longitude] in degrees", field="location")
    latitude, longitude = value
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise InvalidRequest("latitude is -90 to 90, longitude -180 to 180", field="location")
    return latitude, longitude
