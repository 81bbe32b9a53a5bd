"""What pools say of services: the type of their records, ports, priorities, protocols, and the names they point to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dnsd.config.document import Entry
from dnsd.config.findings import Findings, suggestion
from dnsd.config.locator import Path
from dnsd.config.node_records import Template
from dnsd.config.owner_names import absolute
from dnsd.config.schema import HttpsRecordSection, PoolSection
from dnsd.config.zone_names import Origin
from dnsd.model.node import Node
from dnsd.model.pool import NodeRecordSpec, PoolSpec, PoolType, Service

# Keys of a pool that mean something for some types only.
_FOR_SERVICES = (PoolType.SRV, PoolType.SVCB, PoolType.HTTPS)
_FITTING: dict[str, tuple[PoolType, ...]] = {
    "https": (PoolType.ADDRESS,),
    "targets": _FOR_SERVICES,
    "port": _FOR_SERVICES,
    "priority": _FOR_SERVICES,
    "alpn": (PoolType.SVCB, PoolType.HTTPS),
    "no_default_alpn": (PoolType.SVCB, PoolType.HTTPS),
}

MAX_ALPN_SIZE = 255  # RFC 9460 §7.1.1: a byte says how long an id is
# Of all ids with these bytes: a record has to fit into a response over UDP, beside its other parts. Unit: bytes.
MAX_ALPN_TOTAL = 1024


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates of names that records of pools may point to.

    Args:
        read: those that could be read.
        declared: how many there are in the file.
    """

    read: Sequence[Template]
    declared: int


def check_service(
    entry: Entry[PoolSection], findings: Findings, *, origin: Origin | None, templates: Templates
) -> dict[str, Any]:
    """Return the fields of a `PoolSpec` that are about its type, without what is faulty.

    Args:
        origin: what names of the pool are relative to; None: not known.
    """
    if not entry.good("type"):
        return {}
    section, kind = entry.section, PoolType(entry.section.type)
    _check_fitting(entry, kind, findings)
    if kind is PoolType.ADDRESS:
        return {"https": _https(entry, findings)}
    default = 0 if kind is PoolType.SRV else 1
    given = section.priority if entry.good("priority") else None
    if kind is not PoolType.SRV and given == 0:
        message = f"0 would make an alias of the {kind.value.upper()} record (RFC 9460 §2.4.2): from 1 on"
        findings.problem(entry.at("priority"), "bad-priority", message=message)
    service = Service(
        port=section.port if entry.good("port") else None,
        priority=default if given is None else given,
        alpn=_protocols(section.alpn, entry.at("alpn"), findings),
        default_alpn=not (entry.good("no_default_alpn") and section.no_default_alpn),
    )
    if kind in _FITTING["alpn"] and entry.good("alpn"):
        _check_default_alpn(service, entry.at("no_default_alpn"), findings)
    return {"type": kind, "service": service, "targets": _targets(entry, findings, origin, templates)}


def _check_fitting(entry: Entry[PoolSection], kind: PoolType, findings: Findings) -> None:
    for key, kinds in _FITTING.items():
        if key in entry.section.model_fields_set and kind not in kinds:
            of = " and ".join(each.value for each in kinds)
            message = f'"{key}" is for pools of type {of}, and this one is of {kind.value}'
            findings.problem(entry.at(key), "option-of-other-type", message=message)


def _https(entry: Entry[PoolSection], findings: Findings) -> Service | None:
    table: HttpsRecordSection | dict[str, Any] | None = entry.section.https
    if not entry.good("https") or table is None:
        return None
    if isinstance(table, dict):  # as it was written: something else in the entry is faulty
        table = HttpsRecordSection.model_validate(table)
    service = Service(
        port=table.port,
        priority=1,
        alpn=_protocols(table.alpn, entry.at("https", "alpn"), findings),
        default_alpn=not table.no_default_alpn,
    )
    _check_default_alpn(service, entry.at("https", "no_default_alpn"), findings)
    return service


def _protocols(ids: object, path: Path, findings: Findings) -> tuple[str, ...]:
    """Return the good ids of protocols; what is wrong with the others goes to the findings."""
    found: list[str] = []
    for index, protocol in enumerate(ids if isinstance(ids, list) else ()):
        if not isinstance(protocol, str):
            continue
        if not (1 <= len(protocol) <= MAX_ALPN_SIZE and protocol.isascii() and protocol.isprintable()):
            message = f"{protocol!r} is not the id of a protocol: 1 to {MAX_ALPN_SIZE} ASCII characters, such as h2"
            findings.problem((*path, index), "bad-alpn", message=message)
        elif protocol in found:
            findings.problem((*path, index), "duplicate-alpn", message=f'"{protocol}" is listed already')
        else:
            found.append(protocol)
    total = sum(1 + len(protocol) for protocol in found)
    if total > MAX_ALPN_TOTAL:
        message = f"its ids take {total} bytes of each record, and at most {MAX_ALPN_TOTAL} are allowed"
        findings.problem(path, "bad-alpn", message=message)
    return tuple(found)


def _check_default_alpn(service: Service, path: Path, findings: Findings) -> None:
    # RFC 9460 §7.1.1: "When "no-default-alpn" is specified in an RR, "alpn" must also be specified".
    if not service.default_alpn and not service.alpn:
        findings.problem(path, "no-protocol", message="no protocol is left: name those that are spoken in alpn")


def _targets(
    entry: Entry[PoolSection], findings: Findings, origin: Origin | None, templates: Templates
) -> NodeRecordSpec | None:
    """Return the template of the names that a pool's records point to."""
    usable = {each.spec.template.lower(): each.spec for each in templates.read if each.renders}
    known = [each.spec.template for each in templates.read]
    text = entry.section.targets if entry.good("targets") else None
    if not entry.good("targets") or origin is None:
        return None
    if text is None:
        if not templates.declared:
            message = "its records point to names of nodes, and there is no [[node_record]]"
            findings.problem(entry.at("type"), "no-node-record", message=message)
        elif templates.declared > 1:
            some = " or ".join(f'"{template}"' for template in known)
            message = f"there are {templates.declared} [[node_record]] templates: name one, as targets = {some}"
            findings.problem(entry.at("targets"), "ambiguous-targets", message=message)
            return None
        return next(iter(usable.values()), None)
    try:
        wanted = absolute(text, zone=origin.zone).lower()
    except ValueError as error:
        findings.problem(entry.at("targets"), "bad-name", message=str(error))
        return None
    if wanted not in map(str.lower, known) and len(known) == templates.declared:
        message = f"there is no [[node_record]] named {wanted}{suggestion(wanted, known=known)}"
        findings.problem(entry.at("targets"), "unknown-template", message=message)
    return usable.get(wanted)


def check_reach(spec: PoolSpec, entry: Entry[PoolSection], findings: Findings, *, nodes: Sequence[Node]) -> None:
    """Report configured nodes of a pool that its records cannot point to.

    Args:
        spec: as `check_service` found it; where its targets are not known, nothing is said.
        nodes: the configured ones.
    """
    if spec.targets is None:
        return
    without = list(_unreachable(spec, nodes))
    if without:
        node, why = without[0]
        more = f"; and {len(without) - 1} more" if len(without) > 1 else ""
        message = f'node "{node.id}" is in the pool, and cannot be pointed to: {why}{more}'
        findings.problem(entry.at("type"), "node-out-of-reach", message=message)


def _unreachable(spec: PoolSpec, nodes: Sequence[Node]) -> Iterator[tuple[Node, str]]:
    for node in nodes:
        why = spec.why_unnamed(node)
        if why is not None and spec.role in node.roles and not any(spec.mismatches(node)):
            yield node, why
