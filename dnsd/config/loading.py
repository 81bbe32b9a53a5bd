"""From a configuration file to settings, or to every reason why it cannot be used."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dnsd.config.adapters import check_adapters
from dnsd.config.answering import check_answering
from dnsd.config.checks import check_checks, warn_of_unchecked
from dnsd.config.document import Document, Entry, parse_toml, read_document
from dnsd.config.durations import check_duration
from dnsd.config.endpoints import check_admin_listen, check_some_listen
from dnsd.config.findings import Findings
from dnsd.config.fronts import check_fronts, warn_of_parted_limits
from dnsd.config.inventory import check_nodes, check_roles
from dnsd.config.node_records import check_node_records
from dnsd.config.pools import check_pools, declare_pools, pool_names
from dnsd.config.schema import DrainSection, HealthSection, ServerSection
from dnsd.config.secondaries import check_transfer
from dnsd.config.services import Templates
from dnsd.config.settings import Settings
from dnsd.config.store import (
    check_min_replicas,
    check_state_file,
    check_store,
    check_store_files,
    warn_of_forgotten_serials,
)
from dnsd.config.tcp import check_tcp
from dnsd.config.tokens import check_tokens
from dnsd.config.zone_files import check_names, read_declared
from dnsd.config.zone_names import zone_names
from dnsd.core import names
from dnsd.errors import ConfigurationError
from dnsd.model.node import HOLDER, NODE_ID, Node

# A drain that is over before anybody sees it, and reports that are always stale, are mistakes. Unit: seconds.
LEAST_EXPIRY_SECONDS = 1.0
LEAST_STALENESS_SECONDS = 1.0


def load_settings(path: Path, *, starting: bool = True) -> Settings:
    """Read and check a configuration file with its zones.

    Args:
        path: the TOML file; relative paths in it are relative to its folder.
        starting: a server is to be started with it, rather than one that runs reloaded.

    Raises:
        ConfigurationError: with every problem of the file and of its zones' files.
    """
    data, findings = parse_toml(path)
    document = read_document(data, findings)
    server = _check_server(document, findings, folder=path.parent, starting=starting)
    fleet = _check_fleet(document, findings, folder=path.parent, starting=starting)
    if findings.problems:
        # A zone's file may be read twice, for a zone that is declared twice.
        raise ConfigurationError(tuple(dict.fromkeys(findings.problems)))
    return Settings(path=path, **server, **fleet, warnings=tuple(str(warning) for warning in sorted(findings.warnings)))


def _check_server(document: Document, findings: Findings, *, folder: Path, starting: bool) -> dict[str, Any]:
    """Return the fields of `Settings` that are about the server itself, faulty ones with any value."""
    times = _check_times(document.drain, document.health, findings)
    store_url = check_store(document.store, findings, folder=folder)
    check_store_files(store_url, document.store, findings, folder=folder, starting=starting)
    server_id = _server_id(document.server, findings)
    listen = check_some_listen(document.server, findings)
    fronts = check_fronts(document, findings, folder=folder, listen=listen)
    taken = (*listen, *fronts["tls_listen"], *fronts["https_listen"])
    workers = (document.server.section.workers if document.server.good("workers") else 0) or os.cpu_count() or 1
    policy = check_answering(document, findings, folder=folder, server_id=server_id, workers=workers)
    if policy.rate_limit is not None:
        warn_of_parted_limits(document.proxy, findings, workers=workers)
    admin_listen = check_admin_listen(document.admin, document.tokens, findings, taken=taken)
    taken = (*taken, *((admin_listen,) if admin_listen is not None else ()))
    transfer = check_transfer(document, findings, folder=folder, taken=taken)
    if transfer is not None:
        warn_of_forgotten_serials(document.store, findings)
    taken = (*taken, *(transfer.listen if transfer is not None else ()))
    return {
        "server_id": server_id,
        "listen": listen,
        **fronts,
        "workers": workers,
        "policy": policy,
        "tcp": check_tcp(document.tcp, findings),
        "admin_listen": admin_listen,
        "tokens": check_tokens(document.tokens, findings),
        "store_url": store_url,
        "store_prefix": document.store.section.prefix if document.store.good("prefix") else "",
        "state_file": check_state_file(document.store, findings, folder=folder),
        "min_replicas": check_min_replicas(document.store, findings),
        **times,
        "check_local": document.health.good("check_local") and document.health.section.check_local,
        "transfer": transfer,
        "adapters": check_adapters(document, findings, folder=folder, taken=taken),
    }


def _check_times(drain: Entry[DrainSection], health: Entry[HealthSection], findings: Findings) -> dict[str, float]:
    """Return the fields of `Settings` that say how long drains and reports are good for, faulty ones as 0."""
    expiry = warn_after = stale_after = 0.0
    if drain.good("default_expiry"):
        text, place = drain.section.default_expiry, drain.at("default_expiry")
        expiry = check_duration(text, place, findings, least_seconds=LEAST_EXPIRY_SECONDS)
    if drain.good("warn_after"):
        text, place = drain.section.warn_after, drain.at("warn_after")
        warn_after = check_duration(text, place, findings, least_seconds=LEAST_EXPIRY_SECONDS)
    if health.good("stale_after"):
        text, place = health.section.stale_after, health.at("stale_after")
        stale_after = check_duration(text, place, findings, least_seconds=LEAST_STALENESS_SECONDS)
    return {
        "default_expiry_seconds": expiry,
        "warn_after_seconds": warn_after,
        "stale_after_seconds": stale_after,
    }


def _check_fleet(document: Document, findings: Findings, *, folder: Path, starting: bool) -> dict[str, Any]:
    """Return the fields of `Settings` that are about zones, nodes and pools, without what is faulty."""
    roles = check_roles(document.top, findings)
    made = check_nodes(document.nodes, findings, roles=roles)
    nodes = _by_id(made)
    zone_index = zone_names(document.zones)
    templates = check_node_records(document.node_records, tuple(nodes.values()), findings, zones=zone_index)
    declared = declare_pools(document.pools, findings, zones=zone_index)
    whole = _by_id([node for node, entry in zip(made, document.nodes, strict=True) if not entry.faulty])
    targets = Templates(templates, declared=len(document.node_records))
    pools = check_pools(declared, findings, roles=roles, nodes=tuple(whole.values()), templates=targets)
    checks = check_checks(document.checks, findings, roles=roles, nodes=tuple(whole.values()), folder=folder)
    warn_of_unchecked(document.nodes, made, findings, checks=checks)
    owners = {*declared.by_owner, *(owner for template in templates for owner in template.owners)}
    fleet_names = frozenset(names.from_text(owner) for owner in owners)
    zones = read_declared(document.zones, findings, folder=folder, fleet_names=fleet_names, starting=starting)
    check_names(zones, findings, pools=pool_names(declared, pools), templates=templates)
    return {
        "roles": roles,
        "zones": zones.served,
        "nodes": nodes,
        "node_records": tuple(template.spec for template in templates),
        "pools": pools,
        "checks": checks,
    }


def _by_id(nodes: Sequence[Node | None]) -> dict[str, Node]:
    """Return the nodes that can have names, by id: the others' ids are reported already."""
    found: dict[str, Node] = {}
    folded: set[str] = set()
    for node in nodes:
        if node is not None and NODE_ID.fullmatch(node.id) and node.id.lower() not in folded:
            folded.add(node.id.lower())
            found[node.id] = node
    return found


def _server_id(server: Entry[ServerSection], findings: Findings) -> str:
    if not server.good("id"):
        return ""
    text = socket.gethostname() if server.section.id is None else server.section.id
    if not HOLDER.fullmatch(text):
        # It stands in the store's keys and in metrics, as holders do.
        message = f"{text!r} cannot be an id: letters, digits and _ . @ : - , at most 128"
        if server.section.id is None:
            message = f"the host name {text!r} cannot be the server's id; set one"
        findings.problem(server.at("id"), "bad-server-id", message=message)
    return text
