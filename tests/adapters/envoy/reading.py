"""Envoy's side of endpoint discovery, by its own protobuf definitions: what is no field of theirs is an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from envoy.config.core.v3.health_check_pb2 import HealthStatus
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse
from google.protobuf import json_format

from dnsd.adapters.envoy.discovery import Discovery, Request, Response, read_request

TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


@dataclass(frozen=True, slots=True)
class Seen:
    """An endpoint as Envoy reads it.

    Args:
        addresses: the first and the additional ones, as `192.0.2.10:443`.
        locality: region and zone.
    """

    node: str
    addresses: tuple[str, ...]
    status: str
    weight: int
    locality: tuple[str, str]


def endpoints_of(assignment: Any) -> list[Seen]:
    """Return the endpoints of an assignment, in its order."""
    return [
        Seen(
            node=each.metadata.filter_metadata["dnsd"]["node"],
            addresses=(
                _text(each.endpoint.address),
                *(_text(more.address) for more in each.endpoint.additional_addresses),
            ),
            status=HealthStatus.Name(each.health_status),
            weight=each.load_balancing_weight.value,
            locality=(locality.locality.region, locality.locality.zone),
        )
        for locality in assignment.endpoints
        for each in locality.lb_endpoints
    ]


def _text(address: Any) -> str:
    return f"{address.socket_address.address}:{address.socket_address.port_value}"


def parsed(body: str | bytes) -> tuple[str, dict[str, list[Seen]]]:
    """Return a response's version, and the endpoints by cluster."""
    message = json_format.Parse(body, DiscoveryResponse())
    assert message.type_url == TYPE
    found = {}
    for resource in message.resources:
        assignment = ClusterLoadAssignment()
        assert resource.Unpack(assignment)
        found[assignment.cluster_name] = endpoints_of(assignment)
    return message.version_info, found


def request_of(*names: str, version: str = "", proto_names: bool = True) -> bytes:
    """Return a request as Envoy writes it.

    Args:
        proto_names: fields have the names of the definition; else those of protobuf's JSON.
    """
    message = DiscoveryRequest(version_info=version, resource_names=names, type_url=TYPE)
    message.node.id, message.node.cluster = "envoy-1", "front"
    message.node.user_agent_name = "envoy"
    message.node.extensions.add(name="envoy.filters.network.tcp_proxy", category="envoy.filters.network")
    return json_format.MessageToJson(message, preserving_proto_field_name=proto_names).encode()


class Client:
    """A client that asks a discovery for clusters, and keeps what it was told last."""

    def __init__(self, discovery: Discovery, *names: str) -> None:
        self._discovery = discovery
        self._names = names
        self.version = ""
        self.clusters: dict[str, list[Seen]] = {}
        self.response: Response | None = None

    async def poll(self) -> bool:
        """Ask; say whether there was anything new."""
        request: Request = read_request(request_of(*self._names, version=self.version))
        self.response = await self._discovery.answer(request)
        if self.response.body is None:
            assert self.response.version == self.version
            return False
        self.version, self.clusters = parsed(b"".join(self.response.body))
        assert self.version == self.response.version
        return True

    async def statuses(self, cluster: str = "edge") -> dict[str, str]:
        """Ask, and return the status of each node that the cluster has."""
        await self.poll()
        return {each.node: each.status for each in self.clusters[cluster]}
