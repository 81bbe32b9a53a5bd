"""The calls that can block, each as JSON that is made of the catalog.

It owns the forms that Consul gives to nodes, services and checks. It waits for nothing, and knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dnsd.adapters.consul.catalog import Catalog, Kept, Stamped, Touched
from dnsd.adapters.consul.entries import Check, ServiceEntry

Json = dict[str, Any]

Instance = tuple[Kept, Stamped[ServiceEntry]]

# What a check is of: the node as it is kept, and one of its services; None: the node itself.
Of = tuple[Kept, Stamped[ServiceEntry] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A question about the catalog; equal ones have one answer.

    Args:
        kind: one of `KINDS`.
        name: of the service, node or state; empty where there is none.
        passing, tags, node_meta: see `Query`.
    """

    kind: str
    name: str = ""
    passing: bool = False
    tags: tuple[str, ...] = ()
    node_meta: tuple[tuple[str, str], ...] = ()

    def concerned(self, touched: Touched) -> bool:
        """Say whether what has changed may change the answer."""
        if self.kind in OF_SERVICE:
            return self.name in touched.roles
        if self.kind in OF_NODE:
            return self.name.lower() in touched.folded
        return True


def make_answer(catalog: Catalog, call: Call, *, datacenter: str) -> Callable[[], Any]:
    """Take what an answer is made of out of the catalog, and return what makes JSON of it, in any thread.

    Args:
        datacenter: ours.

    Returns:
        Of a list, what yields its items one by one.
    """
    return KINDS[call.kind](catalog, call, datacenter)


# --- what is asked ----------------------------------------------------------------------------------------------------
#
# The catalog changes under whoever reads it in a thread, so that each takes its rows first; they themselves never do.


def _of_service(catalog: Catalog, call: Call, datacenter: str) -> Callable[[], Any]:
    rows = list(catalog.instances(call.name))
    return lambda: (_instance(*row, datacenter) for row in _wanted(rows, call) if not call.passing or _passes(*row))


def _catalog_service(catalog: Catalog, call: Call, datacenter: str) -> Callable[[], Any]:
    rows = list(catalog.instances(call.name))
    return lambda: (_catalog_instance(*row, datacenter) for row in _wanted(rows, call))


def _checks_of_service(catalog: Catalog, call: Call, _: str) -> Callable[[], Any]:
    rows = list(catalog.instances(call.name))
    return lambda: (_check(of, check) for of in _wanted(rows, call) for check in _checks_of(of))


def _checks_of_node(catalog: Catalog, call: Call, _: str) -> Callable[[], Any]:
    kept = catalog.node(call.name)
    rows = [] if kept is None else list(_of_node(kept))
    return lambda: (_check(of, check) for of in rows for check in _checks_of(of))


def _checks_in_state(catalog: Catalog, call: Call, _: str) -> Callable[[], Any]:
    nodes = list(catalog.nodes())
    states = {"any": ("passing", "critical")}.get(call.name, (call.name,))
    return lambda: (
        _check(of, check)
        for kept in nodes
        if _has_meta(kept, call)
        for of in _of_node(kept)
        for check in _checks_of(of)
        if check.status in states
    )


def _services(catalog: Catalog, call: Call, _: str) -> Callable[[], Any]:
    rows = {role: list(catalog.instances(role)) for role in catalog.roles()}

    def made() -> Json:
        found = {role: list(_wanted(instances, call)) for role, instances in rows.items()}
        return {
            role: sorted({tag for _, service in instances for tag in service.thing.tags})
            for role, instances in found.items()
            if instances
        }

    return made


def _nodes(catalog: Catalog, call: Call, datacenter: str) -> Callable[[], Any]:
    nodes = list(catalog.nodes())
    return lambda: (_node(kept, datacenter) for kept in nodes if _has_meta(kept, call))


def _node_with_services(catalog: Catalog, call: Call, datacenter: str) -> Callable[[], Any]:
    kept = catalog.node(call.name)
    if kept is None:
        return lambda: None
    services = {each.thing.id: each for each in kept.services.values()}
    return lambda: {
        "Node": _node(kept, datacenter),
        "Services": {key: _service(kept, each) for key, each in sorted(services.items())},
    }


KINDS: dict[str, Callable[[Catalog, Call, str], Callable[[], Any]]] = {
    "health/service": _of_service,
    "health/checks": _checks_of_service,
    "health/node": _checks_of_node,
    "health/state": _checks_in_state,
    "catalog/services": _services,
    "catalog/service": _catalog_service,
    "catalog/nodes": _nodes,
    "catalog/node": _node_with_services,
}
OF_SERVICE = ("health/service", "health/checks", "catalog/service")
OF_NODE = ("health/node", "catalog/node")


def _wanted(rows: Iterable[Instance], call: Call) -> Iterator[Instance]:
    """Yield the instances that have what a call asks for."""
    tags = frozenset(call.tags)
    return (row for row in rows if _has_meta(row[0], call) and tags.issubset(row[1].thing.tags))


def _has_meta(kept: Kept, call: Call) -> bool:
    meta = kept.node.thing.meta
    return all(meta.get(key) == value for key, value in call.node_meta)


def _passes(kept: Kept, service: Stamped[ServiceEntry]) -> bool:
    return all(check.passing for check in (*kept.checks.thing, *service.thing.checks))


def _of_node(kept: Kept) -> Iterator[Of]:
    yield kept, None
    for service in kept.services.values():
        yield kept, service


def _checks_of(of: Of) -> Iterable[Check]:
    kept, service = of
    return kept.checks.thing if service is None else service.thing.checks


# --- how Consul writes it ---------------------------------------------------------------------------------------------


def _indexes(stamped: Stamped[Any]) -> Json:
    return {"CreateIndex": stamped.created, "ModifyIndex": stamped.modified}


def _node(kept: Kept, datacenter: str) -> Json:
    node = kept.node.thing
    return {
        "ID": "",
        "Node": node.id,
        "Address": node.address,
        "Datacenter": datacenter,
        "TaggedAddresses": dict(node.tagged),
        "Meta": dict(node.meta),
        **_indexes(kept.node),
    }


def _service_addresses(kept: Kept, port: int) -> Json:
    return {name: {"Address": address, "Port": port} for name, address in kept.node.thing.tagged.items()}


def _service(kept: Kept, stamped: Stamped[ServiceEntry]) -> Json:
    service = stamped.thing
    return {
        "ID": service.id,
        "Service": service.name,
        "Tags": list(service.tags),
        "Address": kept.node.thing.address,
        "TaggedAddresses": _service_addresses(kept, service.port),
        "Meta": dict(service.meta),
        "Port": service.port,
        "Weights": {"Passing": service.weight, "Warning": 1},
        "EnableTagOverride": False,
        **_indexes(stamped),
    }


def _instance(kept: Kept, service: Stamped[ServiceEntry], datacenter: str) -> Json:
    rows: tuple[Of, ...] = ((kept, None), (kept, service))
    return {
        "Node": _node(kept, datacenter),
        "Service": _service(kept, service),
        "Checks": [_check(of, check) for of in rows for check in _checks_of(of)],
    }


def _catalog_instance(kept: Kept, stamped: Stamped[ServiceEntry], datacenter: str) -> Json:
    node, service = kept.node.thing, stamped.thing
    return {
        "ID": "",
        "Node": node.id,
        "Address": node.address,
        "Datacenter": datacenter,
        "TaggedAddresses": dict(node.tagged),
        "NodeMeta": dict(node.meta),
        "ServiceKind": "",
        "ServiceID": service.id,
        "ServiceName": service.name,
        "ServiceTags": list(service.tags),
        "ServiceAddress": node.address,
        "ServiceTaggedAddresses": _service_addresses(kept, service.port),
        "ServiceWeights": {"Passing": service.weight, "Warning": 1},
        "ServiceMeta": dict(service.meta),
        "ServicePort": service.port,
        "ServiceEnableTagOverride": False,
        **_indexes(stamped),
    }


def _check(of: Of, check: Check) -> Json:
    kept, service = of
    stamped: Stamped[Any] = kept.checks if service is None else service
    return {
        "Node": kept.node.thing.id,
        "CheckID": check.id,
        "Name": check.name,
        "Status": check.status,
        "Notes": check.notes,
        "Output": check.output,
        "ServiceID": "" if service is None else service.thing.id,
        "ServiceName": "" if service is None else service.thing.name,
        "ServiceTags": [] if service is None else list(service.thing.tags),
        "Type": check.type,
        "Definition": {},
        **_indexes(stamped),
    }
