"""A group as Envoy's ClusterLoadAssignment in JSON: its endpoints by locality, each with health and weight.

It is pure: no socket, no clock, no HTTP. What stays the same of a large group is not written anew: each member's
endpoint is kept as text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dnsd.adapters.groups import Group, Opening
from dnsd.adapters.members import RoleMember
from dnsd.model.drain import RAMP_STEPS, Mode
from dnsd.model.node import Node

ASSIGNMENT_TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

# "must not exceed uint32_t maximal value": of the weights of a locality's endpoints, by lb_endpoint's documentation.
MAX_LOCALITY_WEIGHT = 2**32 - 1

# What Envoy does with an endpoint, the best first: of several at one address it keeps the first that it reads, and a
# node that serves is to win over one that drains. DEGRADED is used while nobody is HEALTHY.
STATUSES = ("HEALTHY", "DEGRADED", "DRAINING", "UNHEALTHY")

# Numbers of the digest that stand for a content. Unit: hexadecimal digits.
VERSION_DIGITS = 32

_json = json.JSONEncoder(separators=(",", ":")).encode

_Locality = tuple[str, str]  # region and zone; empty: it has none


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A member as Envoy sees it.

    Args:
        member: what it was made from.
        is_open: it may get new work although it does not serve.
        locality: region and zone.
        socket: the first address with its port: two endpoints with the same are one to Envoy.
        rank: place of its status in `STATUSES`.
        weight: of the inventory, in tenths, so that each step of a ramp is a whole number.
        text: the JSON of an LbEndpoint up to its weight.
    """

    member: RoleMember
    is_open: bool
    locality: _Locality
    socket: tuple[str, int]
    rank: int
    weight: int
    text: str


def endpoint_of(member: RoleMember, *, port: int, is_open: bool) -> Endpoint | None:
    """Return a member's endpoint; None: nothing is to be sent to it, which Envoy is told by leaving it out."""
    node = member.node
    if member.mode is Mode.MAINTENANCE or node.weight == 0:
        return None
    status = _status_of(member, is_open)
    document = {
        "endpoint": _addresses_of(node, port),
        "health_status": status,
        "metadata": {"filter_metadata": {"dnsd": {"node": node.id}}},
    }
    return Endpoint(
        member=member,
        is_open=is_open,
        locality=(node.region or "", node.cluster or ""),
        socket=(node.addresses[0], port),
        rank=STATUSES.index(status),
        weight=node.weight * round(member.share * RAMP_STEPS),
        text=_json(document)[:-1],
    )


def _status_of(member: RoleMember, is_open: bool) -> str:
    if is_open:
        return "DEGRADED"
    if member.mode is Mode.DRAINING:
        return "DRAINING"
    return "HEALTHY" if member.health.serves else "UNHEALTHY"


def _addresses_of(node: Node, port: int) -> Mapping[str, object]:
    """Return a node as one host: its first address, and the others to fall back to."""
    first, *others = ({"socket_address": {"address": each, "port_value": port}} for each in node.addresses)
    if not others:
        return {"address": first}
    return {"address": first, "additional_addresses": [{"address": each} for each in others]}


@dataclass(frozen=True, slots=True)
class Assignment:
    """A group's endpoints.

    Args:
        endpoints: by node; None: the node has a port, and nothing is to be sent to it.
        portless: ids of members that are left out because nobody says at which port they are reached.
        written: the JSON of its localities.
        version: stands for the content: equal for equal content, also after a restart and on another server.
    """

    endpoints: Mapping[str, Endpoint | None]
    portless: tuple[str, ...]
    written: bytes
    version: str

    def resource(self, cluster_name: str) -> tuple[bytes, ...]:
        """Return it in JSON, as a response has it, in parts: the large one is the same for all who ask.

        Args:
            cluster_name: as it was asked for: Envoy takes no other.
        """
        head = f'{{"@type":"{ASSIGNMENT_TYPE}","cluster_name":{_json(cluster_name)},"endpoints":'
        return head.encode(), self.written, b"}"


@dataclass(frozen=True, slots=True)
class Members:
    """What an assignment is made of; nothing of it changes meanwhile.

    Args:
        ports: by role, for nodes that have none of their own.
    """

    group: Group
    members: Mapping[str, RoleMember]
    opening: Opening
    ports: Mapping[str, int]


def assignment_of(source: Members, before: Mapping[str, Endpoint | None]) -> Assignment:
    """Return the assignment of members, in any thread.

    Args:
        before: endpoints of the one before: those of members that are as they were are kept.
    """
    endpoints: dict[str, Endpoint | None] = {}
    portless = []
    for key in sorted(source.members):
        member = source.members[key]
        is_open = source.opening.has(member)
        port = source.group.port_of(member.node) or source.ports.get(source.group.role)
        endpoint = before.get(key)
        if port is None:
            if member.node.weight:
                portless.append(key)
            continue
        if endpoint is None or not _made_from(endpoint, member, is_open, port):
            endpoint = endpoint_of(member, port=port, is_open=is_open)
        endpoints[key] = endpoint
    written = _localities(each for each in endpoints.values() if each is not None).encode()
    return Assignment(endpoints, tuple(portless), written, hashlib.sha256(written).hexdigest()[:VERSION_DIGITS])


def _localities(endpoints: Iterable[Endpoint]) -> str:
    by_locality: dict[_Locality, list[Endpoint]] = {}
    for endpoint in _each_socket_once(endpoints):
        by_locality.setdefault(endpoint.locality, []).append(endpoint)
    return "[" + ",".join(_locality_text(key, by_locality[key]) for key in sorted(by_locality)) + "]"


def _made_from(endpoint: Endpoint, member: RoleMember, is_open: bool, port: int) -> bool:
    return endpoint.member is member and endpoint.is_open == is_open and endpoint.socket[1] == port


def _each_socket_once(endpoints: Iterable[Endpoint]) -> Iterable[Endpoint]:
    """Return the best endpoint at each address and port: nodes that share one are one host to Envoy."""
    best: dict[tuple[str, int], Endpoint] = {}
    for each in endpoints:
        known = best.get(each.socket)
        if known is None or each.rank < known.rank:
            best[each.socket] = each
    return best.values()


def _locality_text(locality: _Locality, endpoints: list[Endpoint]) -> str:
    total = sum(each.weight for each in endpoints)
    # Rounded down, but for the 1 that each has at least; MAX_LOCALITY_WEIGHT has room for all of these.
    limit = MAX_LOCALITY_WEIGHT - len(endpoints)
    weights = (each.weight if total <= limit else max(1, each.weight * limit // total) for each in endpoints)
    texts = (f'{each.text},"load_balancing_weight":{weight}}}' for each, weight in zip(endpoints, weights, strict=True))
    named = {key: value for key, value in zip(("region", "zone"), locality, strict=True) if value}
    head = f'"locality":{_json(named)},' if named else ""
    return f'{{{head}"lb_endpoints":[{",".join(texts)}]}}'
