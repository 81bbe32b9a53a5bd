"""Pools of the configuration: their owners, selectors, floors and fallbacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dnsd.config.document import Entry
from dnsd.config.findings import Findings, suggestion
from dnsd.config.inventory import check_role
from dnsd.config.owner_names import qualified
from dnsd.config.schema import PoolSection
from dnsd.model.node import Node
from dnsd.model.pool import Floor, PoolSpec, WhenEmpty

_FALLBACK = "pool:"
_OWN_KEYS = ("region", "cluster")

# More nodes than any fleet has are a slip of the pen. Unit: nodes.
MAX_FLOOR = 1_000_000


@dataclass(frozen=True, slots=True)
class DeclaredPools:
    """The pools by their names.

    Args:
        by_owner: fully qualified and folded; of several of one name, the first.
        others: those whose owner is not known, and repeated ones.
        complete: every owner is known.
    """

    by_owner: Mapping[str, Entry[PoolSection]]
    others: tuple[Entry[PoolSection], ...]
    complete: bool


def declare_pools(entries: Sequence[Entry[PoolSection]], findings: Findings) -> DeclaredPools:
    """Return the pools; bad and repeated owners go to the findings."""
    pools: dict[str, Entry[PoolSection]] = {}
    others: list[Entry[PoolSection]] = []
    complete = True
    for entry in entries:
        owner = _owner(entry, findings)
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
    return DeclaredPools(pools, tuple(others), complete)


def _owner(entry: Entry[PoolSection], findings: Findings) -> str | None:
    if not entry.good("name"):
        return None
    try:
        return qualified(entry.section.name)
    except ValueError as error:
        findings.problem(entry.at("name"), "bad-name", message=str(error))
        return None


def check_pools(
    pools: DeclaredPools, findings: Findings, *, roles: Sequence[str], nodes: Sequence[Node]
) -> tuple[PoolSpec, ...]:
    """Return the pools without their faults; problems go to the findings.

    Args:
        roles: those that the configuration has; empty where they are themselves faulty.
        nodes: the configured nodes, for the warnings.
    """
    specs = []
    for owner, entry in pools.by_owner.items():
        spec = _spec(owner, entry, findings, pools=pools)
        if not entry.faulty and nodes:
            _warn_of_size(spec, entry, findings, nodes=nodes)
            _warn_of_labels(spec, entry, findings, nodes=nodes)
        specs.append(spec)
    for entry in pools.others:
        _spec("", entry, findings, pools=pools)
    for entry in (*pools.by_owner.values(), *pools.others):
        if entry.good("role"):
            check_role(entry.section.role, entry.at("role"), findings, roles=roles)
    fallbacks = {spec.owner: spec.fallback for spec in specs if spec.fallback}
    for owner, entry in pools.by_owner.items():
        if owner in _reachable(owner, fallbacks):
            message = f"the pools that follow {owner} when empty lead back to it"
            findings.problem(entry.at("when_empty"), "fallback-cycle", message=message)
    return tuple(specs)


def _spec(owner: str, entry: Entry[PoolSection], findings: Findings, *, pools: DeclaredPools) -> PoolSpec:
    section = entry.section
    when_empty, fallback = WhenEmpty.NODATA, None
    if entry.good("when_empty"):
        when_empty, fallback = _when_empty(entry, findings, pools=pools)
    match = _match(entry, findings) if entry.good("match") else {}
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


def _match(entry: Entry[PoolSection], findings: Findings) -> dict[str, str]:
    """Return the selector with `labels = {…}` flattened into it."""
    flat: dict[str, str] = {}
    for key, value in entry.section.match.items():
        if isinstance(value, str):
            flat[key] = value
        elif key != "labels" or not isinstance(value, dict):
            message = 'should be text; a selector is such as { region = "eu", labels = { tier = "gold" } }'
            findings.problem(entry.at("match", key), "wrong-type", message=message)
    labels = entry.section.match.get("labels")
    for key, value in labels.items() if isinstance(labels, dict) else ():
        path = entry.at("match", "labels", key)
        if not isinstance(value, str):
            findings.problem(path, "wrong-type", message="should be text: the label's value")
        elif key in _OWN_KEYS:
            message = f'"{key}" in a selector is the node\'s own {key}, and never a label'
            findings.problem(path, "bad-match", message=message)
        elif key in flat:
            findings.problem(path, "bad-match", message=f'the selector names "{key}" twice')
        else:
            flat[key] = value
    return flat


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
    try:
        fallback = qualified(text.removeprefix(_FALLBACK))
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


def _warn_of_labels(spec: PoolSpec, entry: Entry[PoolSection], findings: Findings, *, nodes: Sequence[Node]) -> None:
    known = sorted({*_OWN_KEYS, *(key for node in nodes for key in node.labels)})
    for key in spec.match:
        if key not in known:
            path = entry.at("match", key) if key in entry.section.match else entry.at("match", "labels", key)
            message = f'no configured node has a label "{key}"{suggestion(key, known=known)}'
            findings.warning(path, "unknown-label", message=message)
