"""The tables of adapters: where each listens, and who may use it there."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path

from dnsd.config.certificate import check_certificate
from dnsd.config.document import Document, Entry
from dnsd.config.durations import check_duration
from dnsd.config.endpoints import check_taken, read_endpoint
from dnsd.config.findings import Findings
from dnsd.config.inventory import check_role
from dnsd.config.networks import good_networks
from dnsd.config.schema import AdapterSection
from dnsd.config.settings import (
    AdapterSettings,
    ConsulSettings,
    EnvoySettings,
    GrpcSettings,
    PowerDnsSettings,
    PrometheusSettings,
)
from dnsd.model.endpoint import Endpoint

# What Linux has room for (`sun_path` in unix(7)), less the zero byte at the end.
MAX_SOCKET_PATH_SIZE = 107

# PowerDNS's caches are for seconds; one that keeps answers for longer makes drains pointless. Unit: seconds.
MAX_CACHE_SECONDS = 3600.0

LOOPBACK: tuple[IPv4Network | IPv6Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


# What Consul takes as the name of a datacenter.
DATACENTER = re.compile(r"[a-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a check of an adapter's table may look at.

    Args:
        document: the whole file.
        folder: what relative paths are relative to.
        taken: addresses that others listen on.
    """

    document: Document
    folder: Path
    taken: Sequence[Endpoint]


# What the extra `grpc` installs, of what the adapter imports.
GRPC_MODULES = ("grpc", "grpc_health", "grpc_reflection", "google.protobuf", "google.rpc")

# What hatch_build.py generates, which a checkout may be installed without.
GRPC_CODE = "dnsd.adapters.grpc.v1.control_pb2_grpc"
PIP = f"{sys.executable} -m pip install"
FROM_SOURCE = f"in the folder of its source, {PIP} --editable '.[grpc]'"

Check = Callable[[Entry[AdapterSection], Findings, Surroundings], AdapterSettings]


def check_adapters(
    document: Document, findings: Findings, *, folder: Path, taken: Sequence[Endpoint]
) -> Mapping[str, AdapterSettings]:
    """Return the settings of the adapters whose tables are there, by name; problems go to the findings.

    Args:
        folder: what relative paths are relative to.
        taken: addresses that the server itself listens on.
    """
    found: dict[str, AdapterSettings] = {}
    for name, entry in document.adapters.items():
        others = [each.listen for each in found.values() if each.listen is not None]
        surroundings = Surroundings(document, folder, (*taken, *others))
        found[name] = CHECKS.get(name, check_listening)(entry, findings, surroundings)
    return found


def check_listening(entry: Entry[AdapterSection], findings: Findings, surroundings: Surroundings) -> AdapterSettings:
    """Return the settings of an adapter that must be told where to listen."""
    if entry.good("listen") and entry.section.listen is None:
        findings.problem(entry.at("listen"), "missing-key", message='the key "listen" is missing')
    return AdapterSettings(
        listen=check_adapter_listen(entry, findings, surroundings), allow=check_allow(entry, findings)
    )


def check_adapter_listen(
    entry: Entry[AdapterSection], findings: Findings, surroundings: Surroundings, *, guarded: bool = False
) -> Endpoint | None:
    """Return where an adapter listens; beyond loopback somebody must say who may use it.

    Args:
        guarded: something else than `allow` keeps strangers out.
    """
    if not entry.good("listen") or entry.section.listen is None:
        return None
    place = entry.at("listen")
    endpoint = read_endpoint(entry.section.listen, place, findings)
    if endpoint is None:
        return None
    if not guarded and not ip_address(endpoint.host).is_loopback and entry.good("allow") and not entry.section.allow:
        message = f'{endpoint.text} can be reached from elsewhere: name in "allow" who may use it'
        findings.problem(place, "adapter-open", message=message)
    check_taken(endpoint, place, findings, taken=surroundings.taken)
    return endpoint


def check_allow(entry: Entry[AdapterSection], findings: Findings) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks that may use an adapter: the machine itself, and those that are named."""
    return (*LOOPBACK, *(network for _, _, network in good_networks(entry, "allow", findings)))


def check_prometheus(entry: Entry[AdapterSection], findings: Findings, surroundings: Surroundings) -> AdapterSettings:
    """Return the settings of `[prometheus]`."""
    common = check_listening(entry, findings, surroundings)
    port = getattr(entry.section, "port", None) if entry.good("port") else None
    return PrometheusSettings(listen=common.listen, allow=common.allow, port=port)


def check_consul(entry: Entry[AdapterSection], findings: Findings, surroundings: Surroundings) -> AdapterSettings:
    """Return the settings of `[consul]`."""
    common = check_listening(entry, findings, surroundings)
    name = getattr(entry.section, "datacenter", "") if entry.good("datacenter") else ""
    if entry.good("datacenter") and not DATACENTER.fullmatch(name):
        message = f"{name!r} is no name of a datacenter: lower-case letters, digits, hyphens and underscores"
        findings.problem(entry.at("datacenter"), "bad-datacenter", message=message)
    return ConsulSettings(listen=common.listen, allow=common.allow, datacenter=name)


def check_envoy(entry: Entry[AdapterSection], findings: Findings, surroundings: Surroundings) -> AdapterSettings:
    """Return the settings of `[envoy]`."""
    common = check_listening(entry, findings, surroundings)
    top = surroundings.document.top
    ports: Mapping[str, int] = getattr(entry.section, "ports", {}) if entry.good("ports") else {}
    for role in ports:
        check_role(role, entry.at("ports", role), findings, roles=top.section.roles if top.good("roles") else ())
    return EnvoySettings(listen=common.listen, allow=common.allow, ports=dict(ports))


def check_powerdns(entry: Entry[AdapterSection], findings: Findings, surroundings: Surroundings) -> AdapterSettings:
    """Return the settings of `[powerdns]`, which listens on an address, a unix socket, or both."""
    text: str | None = getattr(entry.section, "socket", None) if entry.good("socket") else None
    if entry.good("listen", "socket") and entry.section.listen is None and text is None:
        message = 'one of the keys "listen" and "socket" must be there'
        findings.problem(entry.at("listen"), "missing-key", message=message)
    path = None if text is None else surroundings.folder.absolute() / text
    if text is not None and (not text or "\0" in text):
        message = f"{text!r} is no path"
        findings.problem(entry.at("socket"), "bad-socket", message=message)
    elif path is not None and len(os.fsencode(path)) > MAX_SOCKET_PATH_SIZE:
        message = f"{path} is longer than the path of a socket may be: {MAX_SOCKET_PATH_SIZE} bytes"
        findings.problem(entry.at("socket"), "bad-socket", message=message)
    cache = getattr(entry.section, "cache_ttl", "0s") if entry.good("cache_ttl") else "0s"
    return PowerDnsSettings(
        listen=check_adapter_listen(entry, findings, surroundings),
        allow=check_allow(entry, findings),
        socket=path,
        cache_seconds=check_duration(
            cache, entry.at("cache_ttl"), findings, least_seconds=0.0, most_seconds=MAX_CACHE_SECONDS
        ),
    )


def check_grpc(entry: Entry[AdapterSection], findings: Findings, surroundings: Surroundings) -> GrpcSettings:
    """Return the settings of `[grpc]`, which changes the fleet: beyond loopback it needs tokens, as `[admin]` does."""
    common = check_listening(entry, findings, surroundings)
    endpoint = common.listen
    if endpoint is not None and not ip_address(endpoint.host).is_loopback and not surroundings.document.tokens:
        message = f"{endpoint.text} can be reached from elsewhere, and no [[admin.token]] protects it"
        findings.problem(entry.at("listen"), "grpc-open", message=message)
    _check_installed(entry, findings)
    return GrpcSettings(
        listen=endpoint,
        allow=common.allow,
        certificate=check_certificate(entry, findings, folder=surroundings.folder, needed_by=""),
    )


def _check_installed(entry: Entry[AdapterSection], findings: Findings) -> None:
    missing = [name for name in GRPC_MODULES if not _is_installed(name)]
    has_code = _is_installed(GRPC_CODE)
    if missing:
        remedy = f"{PIP} 'dnsd[grpc]'" if has_code else FROM_SOURCE
        message = f"gRPC needs libraries that are not installed, {', '.join(missing)}: {remedy}"
        findings.problem(entry.path, "missing-libraries", message=message)
    elif not has_code:
        message = f"dnsd was installed without its code for gRPC: {FROM_SOURCE}"
        findings.problem(entry.path, "missing-code", message=message)


def _is_installed(name: str) -> bool:
    """Say whether a module could be imported, without doing so; its parents are imported, which hold nothing."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


# By table, where `check_listening` is not enough.
CHECKS: dict[str, Check] = {
    "powerdns": check_powerdns,
    "envoy": check_envoy,
    "prometheus": check_prometheus,
    "consul": check_consul,
    "grpc": check_grpc,
}
