"""Pools of the configuration: their owners, selectors, floors and fallbacks; their types are for `services`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dnsd.config.document import Entry
from dnsd.config.findings import Findings, suggestion
from dnsd.config.inventory import check_role
from dnsd.config.locator import Path
from dnsd.config.owner_names import absolute, qualified
from dnsd.config.schema import PoolSection
from dnsd.config.selectors import check_match, warn_of_labels
from dnsd.config.services import Templates, check_reach, check_service
from dnsd.config.zone_files import PoolName
from dnsd.config.zone_names import Origin, ZoneNames, origin_of
from dnsd.core.services import types_of
from dnsd.model.node import Node
from dnsd.model.pool import Floor, PoolSpec, WhenEmpty

_FALLBACK = "pool:"

# More nodes than any fleet has are a slip of the pen. Unit: nodes.
MAX_FLOOR = 1_000_000


@dataclass(frozen=True, slots=True)
class DeclaredPools:
    """The pools by their names.

    Args:
        by_owner: fully qualified and folded; of several of one name, the first.
        others: those whose owner is not known, and repeated ones.
        complete: every owner is known.
        origins: what names of a pool are relative to, by the path of its table; those where that is known.
    """

    by_owner: Mapping[str, Entry[PoolSection]]
    others: tuple[Entry[PoolSection], ...]
    complete: bool
    origins: Mapping[Path, Origin]


def declare_pools(entries: Sequence[Entry[PoolSection]], findings: Findings, *, zones: ZoneNames) -> DeclaredPools:
    """Return the pools; bad and repeated owners go to the findings.

    Args:
        zones: what names may be relative to.
    """
    pools: dict[str, Entry[PoolSection]] = {}
    others: list[Entry[PoolSection]] = []
    origins: dict[Path, Origin] = {}
    complete = True
    for entry in entries:
        origin = origin_of(entry, zones, findings)
        owner = None
        if origin is not None:
            origins[entry.path] = origin
            owner = _owner(entry, origin, zones, findings)
        if owner is None:
            complete = False
            others.append(entry)
        elif owner in pools:
            line = findings.line(pools[owner].at("name"))
            message = f"there is a pool {owner} already, in line {line}"
            findings.problem(entry.at("name"), "duplicate-pool", message=message)
            others.append(entry)
        else:
            pools[owner] = entry
    return DeclaredPools(pools, tuple(others), complete, origins)


def _owner(entry: Entry[PoolSection], origin: Origin, zones: ZoneNames, findings: Findings) -> str | None:
    if not entry.good("name"):
        return None
    try:
        owner = qualified(absolute(entry.section.name, zone=origin.zone))
    except ValueError as error:
        findings.problem(entry.at("name"), "bad-name", message=str(error))
        return None
    return owner if zones.check_inside(owner, entry, findings) else None


def check_pools(
    pools: DeclaredPools,
    findings: Findings,
    *,
    roles: Sequence[str],
    nodes: Sequence[Node],
    templates: Templates,
) -> tuple[PoolSpec, ...]:
    """Return the pools without their faults; problems go to the findings.

    Args:
        roles: those that the configuration has; empty where they are themselves faulty.
        nodes: the configured nodes without a fault in their shape, for the warnings and for who can be pointed to.
        templates: of the names that records may point to.
    """
    specs = {}
    for owner, entry in pools.by_owner.items():
        spec = specs[owner] = _spec(owner, entry, findings, pools=pools, templates=templates)
        if not entry.faulty and nodes:
            _warn_of_size(spec, entry, findings, nodes=nodes)
            warn_of_labels(spec.match, entry, findings, nodes=nodes)
            check_reach(spec, entry, findings, nodes=nodes)
    for entry in pools.others:
        _spec("", entry, findings, pools=pools, templates=templates)
    for entry in (*pools.by_owner.values(), *pools.others):
        if entry.good("role"):
            check_role(entry.section.role, entry.at("role"), findings, roles=roles)
    _check_fallbacks(specs, pools, findings)
    return tuple(specs.values())


def pool_names(pools: DeclaredPools, specs: Iterable[PoolSpec]) -> dict[str, PoolName]:
    """Return the owners of the pools with the types that they need to themselves."""
    return {
        spec.owner: PoolName(entry.at("name"), types_of(spec) if entry.good("type", "https") else frozenset())
        for spec in specs
        for entry in (pools.by_owner[spec.owner],)
    }


def _check_fallbacks(specs: Mapping[str, PoolSpec], pools: DeclaredPools, findings: Findings) -> None:
    fallbacks = {owner: spec.fallback for owner, spec in specs.items() if spec.fallback}
    for owner, entry in pools.by_owner.items():
        if owner in _reachable(owner, fallbacks):
            message = f"the pools that follow {owner} when empty lead back to it"
            findings.problem(entry.at("when_empty"), "fallback-cycle", message=message)
        other = pools.by_owner.get(fallbacks.get(owner, ""))
        if other is not None and entry.good("type") and other.good("type") and other.section.type != entry.section.type:
            message = f"{fallbacks[owner]} is a pool of type {other.section.type}, and {owner} of {entry.section.type}"
            findings.problem(entry.at("when_empty"), "fallback-type", message=message)


def _spec(
    owner: str, entry: Entry[PoolSection], findings: Findings, *, pools: DeclaredPools, templates: Templates
) -> PoolSpec:
    section = entry.section
    when_empty, fallback = WhenEmpty.NODATA, None
    if entry.good("when_empty"):
        when_empty, fallback = _when_empty(entry, findings, pools=pools)
    match = check_match(entry, findings)
    floor = _floor(entry, findings) if entry.good("floor") else Floor()
    numbers = {name: getattr(section, name) for name in ("ttl", "max_answers") if entry.good(name)}
    return PoolSpec(
        owner=owner,
        role=section.role if entry.good("role") else "",
        match=match,
        floor=floor,
        when_empty=when_empty,
        fallback=fallback,
        **numbers,
        **check_service(entry, findings, origin=pools.origins.get(entry.path), templates=templates),
    )


def _floor(entry: Entry[PoolSection], findings: Findings) -> Floor:
    floor = entry.section.floor
    try:
        if isinstance(floor, int) and floor > MAX_FLOOR:
            raise ValueError(f"a floor of more than {MAX_FLOOR} nodes makes no sense")
        return Floor.of(floor)
    except ValueError as error:
        findings.problem(entry.at("floor"), "bad-floor", message=str(error))
        return Floor()


def _when_empty(entry: Entry[PoolSection], findings: Findings, *, pools: DeclaredPools) -> tuple[WhenEmpty, str | None]:
    text = entry.section.when_empty
    path = entry.at("when_empty")
    if not text.startswith(_FALLBACK):
        words = [word.value for word in WhenEmpty if word is not WhenEmpty.POOL]
        if text in words:
            return WhenEmpty(text), None
        message = f'{text!r} is none of {", ".join(words)} and "pool:<owner name>"'
        findings.problem(path, "bad-when-empty", message=message)
        return WhenEmpty.NODATA, None
    origin = pools.origins.get(entry.path)
    if origin is None:
        return WhenEmpty.NODATA, None  # not known which pool it is
    try:
        fallback = qualified(absolute(text.removeprefix(_FALLBACK), zone=origin.zone))
    except ValueError as error:
        findings.problem(path, "bad-when-empty", message=str(error))
        return WhenEmpty.NODATA, None
    if fallback not in pools.by_owner and pools.complete:
        hint = suggestion(fallback, known=pools.by_owner)
        findings.problem(path, "unknown-pool", message=f"there is no pool {fallback}{hint}")
    return WhenEmpty.POOL, fallback


def _reachable(owner: str, fallbacks: Mapping[str, str]) -> set[str]:
    """Return the pools that answer in its stead, one after the other."""
    seen: set[str] = set()
    at = fallbacks.get(owner)
    while at is not None and at not in seen:
        seen.add(at)
        at = fallbacks.get(at)
    return seen


def _warn_of_size(spec: PoolSpec, entry: Entry[PoolSection], findings: Findings, *, nodes: Sequence[Node]) -> None:
    size = sum(spec.selects(node) for node in nodes)
    if not size:
        message = "no configured node is in the pool; it is empty until one registers"
        findings.warning(entry.path, "pool-without-nodes", message=message)
    elif spec.floor.share is None and spec.floor.count > size:
        message = f"the floor is {spec.floor.count}, and only {size} configured nodes are in the pool"
        findings.warning(entry.at("floor"), "floor-out-of-reach", message=message)
