"""A group as Envoy's ClusterLoadAssignment in JSON: its endpoints by locality, each with health and weight.

It is pure: no socket, no clock, no HTTP. What stays the same of a large group is not written anew: each member's
endpoint is kept as text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dnsd.adapters.groups import Group
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


class Assignment:
    """A group's endpoints, as of the last `renew`.

    Args:
        ports: by role, for nodes that have none of their own.

    Attributes:
        portless: ids of members that are left out because nobody says at which port they are reached.
        version: stands for the content: equal for equal content, also after a restart and on another server.
    """

    def __init__(self, group: Group, ports: Mapping[str, int]) -> None:
        self.group = group
        self.portless: list[str] = []
        self.version = ""
        self._ports = ports
        self._endpoints: dict[str, Endpoint | None] = {}
        self._written = ""
        self._number: int | None = None

    def renew(self) -> None:
        """Bring it to the group as it is now; nothing is written where that has not changed."""
        if self._number != self.group.number:
            self._written = self._localities()
            self.version = hashlib.sha256(self._written.encode()).hexdigest()[:VERSION_DIGITS]
            self._number = self.group.number

    def resource(self, cluster_name: str) -> str:
        """Return it in JSON, as a response has it.

        Args:
            cluster_name: as it was asked for: Envoy takes no other.
        """
        return f'{{"@type":"{ASSIGNMENT_TYPE}","cluster_name":{_json(cluster_name)},"endpoints":{self._written}}}'

    def _localities(self) -> str:
        by_locality: dict[_Locality, list[Endpoint]] = {}
        for endpoint in _each_socket_once(self._renewed()):
            by_locality.setdefault(endpoint.locality, []).append(endpoint)
        return "[" + ",".join(_locality_text(key, by_locality[key]) for key in sorted(by_locality)) + "]"

    def _renewed(self) -> Iterable[Endpoint]:
        """Return the endpoints in the order of their nodes; those of members that are as before are kept."""
        group, before = self.group, self._endpoints
        self._endpoints, self.portless = {}, []
        for key in sorted(group.members):
            member, is_open = group.members[key], key in group.open
            port = group.port_of(member.node) or self._ports.get(group.role)
            endpoint = before.get(key)
            if port is None:
                if member.node.weight:
                    self.portless.append(key)
                continue
            if endpoint is None or not _made_from(endpoint, member, is_open, port):
                endpoint = endpoint_of(member, port=port, is_open=is_open)
            self._endpoints[key] = endpoint
        return [each for each in self._endpoints.values() if each is not None]


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
