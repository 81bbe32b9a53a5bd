"""Selectors of the configuration: which nodes a pool or a check is for, beside their role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dnsd.config.document import Entry
from dnsd.config.findings import Findings, suggestion
from dnsd.config.schema import CheckSection, PoolSection
from dnsd.model.node import Node

_OWN_KEYS = ("region", "cluster")


def check_match(entry: Entry[PoolSection] | Entry[CheckSection], findings: Findings) -> dict[str, str]:
    """Return the selector with `labels = {…}` flattened into it, without what is faulty."""
    if not entry.good("match"):
        return {}
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


def warn_of_labels(
    match: Mapping[str, str],
    entry: Entry[PoolSection] | Entry[CheckSection],
    findings: Findings,
    *,
    nodes: Sequence[Node],
) -> None:
    """Say which labels of a selector no configured node has."""
    known = sorted({*_OWN_KEYS, *(key for node in nodes for key in node.labels)})
    for key in match:
        if key not in known:
            path = entry.at("match", key) if key in entry.section.match else entry.at("match", "labels", key)
            message = f'no configured node has a label "{key}"{suggestion(key, known=known)}'
            findings.warning(path, "unknown-label", message=message)
