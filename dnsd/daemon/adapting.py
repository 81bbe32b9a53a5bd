"""Which adapters there are, and how each is made: the one place where their names meet their code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dnsd.adapters.consul.adapter import ConsulAdapter
from dnsd.adapters.context import Adapter, AdapterContext
from dnsd.adapters.envoy.serving import EndpointDiscovery
from dnsd.adapters.haproxy.serving import AgentCheck
from dnsd.adapters.hosting import AdapterHost, Factory
from dnsd.adapters.powerdns.adapter import PowerDnsAdapter
from dnsd.adapters.prometheus.adapter import PrometheusAdapter
from dnsd.adapters.transfer.primary import Primary
from dnsd.control.plane import ControlPlane
from dnsd.errors import StartError


def _grpc(context: AdapterContext[Any]) -> Adapter:
    """Return the gRPC adapter; its libraries are large, for those who have them and configure it."""
    try:
        from dnsd.adapters.grpc.adapter import GrpcAdapter
    except Exception as error:  # also of types of their own: a library is older than what was generated for it
        raise StartError(f"its code cannot be loaded, is dnsd[grpc] installed with pip? {error}") from error
    return GrpcAdapter(context)


TRANSFER = "transfer"

# By the name of the table in the configuration.
FACTORIES: dict[str, Factory] = {
    "powerdns": PowerDnsAdapter,
    "haproxy": AgentCheck,
    "envoy": EndpointDiscovery,
    "prometheus": PrometheusAdapter,
    "consul": ConsulAdapter,
    "grpc": _grpc,
    TRANSFER: Primary,
}


def adapter_host(plane: ControlPlane) -> AdapterHost:
    """Return the adapters of a server, none of them running yet."""

    def wanted() -> Mapping[str, object]:
        found: dict[str, object] = {
            name: settings for name, settings in plane.settings.adapters.items() if name in FACTORIES
        }
        if plane.settings.transfer is not None:
            found[TRANSFER] = plane.settings.transfer
        return found

    return AdapterHost(plane, FACTORIES, wanted=wanted)
