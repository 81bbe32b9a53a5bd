"""Templates of per-node names, and the names that they give the configured nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dnsd.config.document import Entry
from dnsd.config.findings import Findings, suggestion
from dnsd.config.locator import Path
from dnsd.config.owner_names import absolute, qualified
from dnsd.config.schema import NodeRecordSection
from dnsd.config.zone_names import ZoneNames, origin_of
from dnsd.model.node import Node
from dnsd.model.pool import NodeRecordSpec

FIELDS = ("id", "region", "cluster")

_FIELD = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A template.

    Args:
        path: of its `name` in the file.
        sample: the name of a made-up node, to tell without any whether the template's names lie in a zone.
        owners: folded names of the configured nodes; none where the template is faulty.
        renders: names of nodes can be made by it.
    """

    spec: NodeRecordSpec
    path: Path
    sample: str
    owners: tuple[str, ...]
    renders: bool = True


def check_node_records(
    entries: Sequence[Entry[NodeRecordSection]], nodes: Sequence[Node], findings: Findings, *, zones: ZoneNames
) -> tuple[Template, ...]:
    """Return the templates; problems go to the findings.

    Args:
        nodes: those with a good id, each id once.
        zones: what names may be relative to.
    """
    holders: dict[str, str] = {}
    templates: list[Template] = []
    for entry in entries:
        if not entry.good("name"):
            continue
        renders = _check_fields(entry, findings)
        name = _absolute(entry, zones, findings)
        sample = None if name is None else _sample(name, entry, findings)
        if name is None or sample is None or not zones.check_inside(sample, entry, findings):
            continue
        ttl = {"ttl": entry.section.ttl} if entry.good("ttl") else {}
        spec = NodeRecordSpec(template=name, **ttl)
        owners = _owners(spec, nodes if renders else (), entry.at("name"), findings, holders=holders)
        templates.append(Template(spec, entry.at("name"), sample, owners, renders))
    return tuple(templates)


def _check_fields(entry: Entry[NodeRecordSection], findings: Findings) -> bool:
    """Say whether nodes can be put into the template; if not, why goes to the findings."""
    path = entry.at("name")
    fields = _FIELD.findall(entry.section.name)
    unknown = [name for name in fields if name not in FIELDS]
    for name in unknown:
        hint = suggestion(name, known=FIELDS) or f"; there are {', '.join(FIELDS)}"
        findings.problem(path, "template-unknown-field", message=f'a node has no field "{name}"{hint}')
    if not fields:
        message = 'the template names no field, so that every node would get the same name; write "{id}."'
        findings.problem(path, "template-without-field", message=message)
    return bool(fields) and not unknown


def _absolute(entry: Entry[NodeRecordSection], zones: ZoneNames, findings: Findings) -> str | None:
    """Return a template with its final dot, or None where it is not known which it is."""
    origin = origin_of(entry, zones, findings)
    if origin is None:
        return None
    try:
        return absolute(entry.section.name, zone=origin.zone)
    except ValueError as error:
        findings.problem(entry.at("name"), "bad-name", message=str(error))
        return None


def _sample(name: str, entry: Entry[NodeRecordSection], findings: Findings) -> str | None:
    """Return the name of a made-up node, or None where the template makes no names."""
    try:
        return qualified(_FIELD.sub("x", name))
    except ValueError as error:
        findings.problem(entry.at("name"), "bad-name", message=str(error))
        return None


def _owners(
    spec: NodeRecordSpec, nodes: Sequence[Node], path: Path, findings: Findings, *, holders: dict[str, str]
) -> tuple[str, ...]:
    """Return the nodes' names; `holders` keeps which node got which, over all templates."""
    owners: list[str] = []
    for node in nodes:
        rendered = spec.owner_of(node)
        if rendered is None:
            continue
        try:
            owner = qualified(rendered)
        except ValueError as error:
            findings.problem(path, "bad-name", message=f'node "{node.id}": {error}')
            continue
        if owner in holders:
            message = f'{owner} would be the name of node "{node.id}" and of node "{holders[owner]}"'
            if holders[owner] == node.id:
                message = f'another template gives node "{node.id}" the name {owner} already'
            findings.problem(path, "duplicate-name", message=message)
            continue
        holders[owner] = node.id
        owners.append(owner)
    return tuple(owners)
