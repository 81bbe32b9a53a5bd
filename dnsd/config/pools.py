"""Pools of the configuration: their owners, selectors, floors and fallbacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dnsd.config.document import Entry
from dnsd.config.findings import Findings, suggestion
from dnsd.config.inventory import check_role
from dnsd.config.owner_names import qualified
from dnsd.config.schema import PoolSection
from dnsd.model.node import Node
from dnsd.model.pool import Floor, PoolSpec, WhenEmpty

_FALLBACK = "pool:"
_OWN_KEYS = ("region", "cluster")


def declare_pools(entries: Sequence[Entry[PoolSection]], findings: Findings) -> dict[str, Entry[PoolSection]]:
    """Return the pools by owner, fully qualified and folded; bad and repeated owners go to the findings."""
    pools: dict[str, Entry[PoolSection]] = {}
    for entry in entries:
        if not entry.good("name"):
            continue
        try:
            owner = qualified(entry.section.name)
        except ValueError as error:
            findings.problem(entry.at("name"), "bad-name", message=str(error))
            continue
        if owner in pools:
            line = findings.line(pools[owner].at("name"))
            message = f"there is a pool {owner} already, in line {line}"
            findings.problem(entry.at("name"), "duplicate-pool", message=message)
        pools.setdefault(owner, entry)
    return pools


def check_pools(
    pools: Mapping[str, Entry[PoolSection]], findings: Findings, *, roles: Sequence[str], nodes: Sequence[Node]
) -> tuple[PoolSpec, ...]:
    """Return the pools without their faults; problems go to the findings.

    Args:
        roles: those that the configuration has; empty where they are themselves faulty.
        nodes: the configured nodes, for the warnings.
    """
    specs = []
    fallbacks: dict[str, str] = {}
    for owner, entry in pools.items():
        spec = _spec(owner, entry, findings, pools=pools)
        if spec.fallback:
            fallbacks[owner] = spec.fallback
        if entry.good("role"):
            check_role(spec.role, entry.at("role"), findings, roles=roles)
        if not entry.faulty and nodes:
            _warn_of_size(spec, entry, findings, nodes=nodes)
        specs.append(spec)
    for owner, entry in pools.items():
        if owner in _reachable(owner, fallbacks):
            message = f"the pools that follow {owner} when empty lead back to it"
            findings.problem(entry.at("when_empty"), "fallback-cycle", message=message)
    return tuple(specs)


def _spec(
    owner: str, entry: Entry[PoolSection], findings: Findings, *, pools: Mapping[str, Entry[PoolSection]]
) -> PoolSpec:
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
    try:
        return Floor.of(entry.section.floor)
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


def _when_empty(
    entry: Entry[PoolSection], findings: Findings, *, pools: Mapping[str, Entry[PoolSection]]
) -> tuple[WhenEmpty, str | None]:
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
    if fallback not in pools:
        hint = suggestion(fallback, known=pools)
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
