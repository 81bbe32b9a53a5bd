"""Active checks of the configuration: whom they are for, what they try, and who is left without one."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from pathlib import Path

from dnsd.config.document import Entry
from dnsd.config.durations import check_duration
from dnsd.config.findings import Findings
from dnsd.config.inventory import check_role
from dnsd.config.schema import CheckSection, NodeSection
from dnsd.config.selectors import check_match, warn_of_labels
from dnsd.config.url_paths import check_url_path
from dnsd.model.check import DEFAULT_STATUSES, DEFAULT_TIMEOUT_SECONDS, CheckSpec, CheckType, Probe
from dnsd.model.node import Monitor, Node
from dnsd.zonefile.files import read_regular, why_unreadable

# Less is a load, not a check, and more finds nothing in time. Unit: seconds.
LEAST_INTERVAL_SECONDS, MOST_INTERVAL_SECONDS = 0.1, 3600.0
LEAST_TIMEOUT_SECONDS = 0.05

# A text that is longer is not looked for: it is to be within the first 64 KiB. Unit: characters.
MAX_BODY_TEXT = 1_024

_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*"
)
_STATUS = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_VERSIONS = {"all": (4, 6), "ipv4": (4,), "ipv6": (6,)}

_OF_HTTP = ("path", "host", "method", "status", "body")
_OF_TLS = ("tls_verify", "ca")


def check_checks(
    entries: Sequence[Entry[CheckSection]],
    findings: Findings,
    *,
    roles: Sequence[str],
    nodes: Sequence[Node],
    folder: Path,
) -> tuple[CheckSpec, ...]:
    """Return the checks without their faults; problems go to the findings.

    Args:
        roles: those that the configuration has; empty where they are themselves faulty.
        nodes: the configured nodes without a fault in their shape, for the warnings.
        folder: what relative paths are relative to.
    """
    specs = []
    for entry in entries:
        spec = _spec(entry, findings, folder=folder)
        specs.append(spec)
        for index, role in entry.texts("roles"):
            check_role(role, entry.at("roles", index), findings, roles=roles)
        if entry.good("roles") and not entry.section.roles:
            findings.problem(entry.at("roles"), "bad-value", message="name at least one role")
        if not entry.faulty and nodes:
            _warn_of_reach(spec, entry, findings, nodes=nodes)
            warn_of_labels(spec.match, entry, findings, nodes=nodes)
    return tuple(specs)


def warn_of_unchecked(
    entries: Sequence[Entry[NodeSection]],
    nodes: Sequence[Node | None],
    findings: Findings,
    *,
    checks: Sequence[CheckSpec],
) -> None:
    """Say which nodes leave their health to checks that are not there.

    Args:
        nodes: that of each entry.
    """
    for entry, node in zip(entries, nodes, strict=True):
        if node is None or entry.faulty or node.monitor is not Monitor.CHECK:
            continue
        bare = [role for role in node.roles if not any(check.targets_of(node, role) for check in checks)]
        if bare:
            message = f"no [[check]] is for it in the role {', '.join(bare)}: its health stays unknown there"
            findings.warning(entry.at("monitor"), "node-without-check", message=message)


def _spec(entry: Entry[CheckSection], findings: Findings, *, folder: Path) -> CheckSpec:
    section = entry.section
    kind = CheckType(section.type) if entry.good("type") else None
    if kind is not None:
        _check_keys(entry, findings, kind=kind)
    interval, timeout = _times(entry, findings)
    numbers = {name: getattr(section, name) for name in ("rise", "fall", "method", "tls_verify") if entry.good(name)}
    port = section.port if entry.good("port") else None
    probe = Probe(
        type=kind or CheckType.TCP,
        port=port or 0,
        interval_seconds=interval,
        timeout_seconds=timeout,
        jitter=section.jitter / 100 if entry.good("jitter") else 0.0,
        path=check_url_path(entry, findings, example="/healthz or /healthz?deep=1", is_target=True) or "/",
        host=_host(entry, findings),
        statuses=_statuses(entry, findings),
        body=_body(entry, findings),
        ca=_ca(entry, findings, folder=folder),
        **numbers,
    )
    return CheckSpec(
        roles=tuple(role for _, role in entry.texts("roles")),
        match=check_match(entry, findings),
        port=port,
        versions=_VERSIONS[section.addresses] if entry.good("addresses") else (4, 6),
        probe=probe,
    )


def _check_keys(entry: Entry[CheckSection], findings: Findings, *, kind: CheckType) -> None:
    """Report keys that mean nothing for the type: whoever wrote them believes that they are looked at."""
    others = {CheckType.TCP: (*_OF_HTTP, *_OF_TLS), CheckType.HTTP: _OF_TLS, CheckType.HTTPS: ()}[kind]
    for key in others:
        if key in entry.section.model_fields_set:
            of = "https" if key in _OF_TLS else "http and https"
            message = f"it means nothing in a check of type {kind.value}: only {of} have it"
            findings.problem(entry.at(key), "option-of-other-type", message=message)


def _times(entry: Entry[CheckSection], findings: Findings) -> tuple[float, float]:
    interval = MOST_INTERVAL_SECONDS
    if entry.good("interval"):
        limits = {"least_seconds": LEAST_INTERVAL_SECONDS, "most_seconds": MOST_INTERVAL_SECONDS}
        interval = check_duration(entry.section.interval, entry.at("interval"), findings, **limits)
    if not entry.good("timeout") or entry.section.timeout is None:
        return interval, min(DEFAULT_TIMEOUT_SECONDS, interval)
    limits = {"least_seconds": LEAST_TIMEOUT_SECONDS, "most_seconds": max(interval, LEAST_TIMEOUT_SECONDS)}
    return interval, check_duration(entry.section.timeout, entry.at("timeout"), findings, **limits)


def _host(entry: Entry[CheckSection], findings: Findings) -> str | None:
    host = entry.section.host if entry.good("host") else None
    if host is not None and not _HOST.fullmatch(host):
        message = f"{host!r} is not the name of a host, such as www.example.org; its port is that of the check"
        findings.problem(entry.at("host"), "bad-host", message=message)
    return host


def _statuses(entry: Entry[CheckSection], findings: Findings) -> tuple[tuple[int, int], ...]:
    if not entry.good("status") or "status" not in entry.section.model_fields_set:
        return DEFAULT_STATUSES
    found: list[tuple[int, int]] = []
    given = entry.section.status
    alone = not isinstance(given, list)  # where another key is at fault, it is as it was written
    for index, item in enumerate([given] if alone else given):
        match = _STATUS.fullmatch(str(item)) if isinstance(item, str | int) else None
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if first > last:
            message = f'{item!r} is not a status or a range of them, such as 204 or "200-399"'
            findings.problem(entry.at("status", index), "bad-status", message=message)
        else:
            found.append((first, last))
    if not alone and not given:
        findings.problem(entry.at("status"), "bad-value", message="name at least one status")
    return tuple(found)


def _body(entry: Entry[CheckSection], findings: Findings) -> str | None:
    body = entry.section.body if entry.good("body") else None
    if body is None:
        return None
    if not 1 <= len(body) <= MAX_BODY_TEXT:
        message = f"should be 1 to {MAX_BODY_TEXT} characters"
        findings.problem(entry.at("body"), "bad-value", message=message)
    if entry.good("method") and entry.section.method == "HEAD":
        findings.problem(entry.at("body"), "bad-value", message="the answer to a HEAD has no body")
    return body


def _ca(entry: Entry[CheckSection], findings: Findings, *, folder: Path) -> str | None:
    if not entry.good("ca") or entry.section.ca is None:
        return None
    path = (folder / entry.section.ca).absolute()
    try:
        text = read_regular(path).decode("ascii", "replace")
    except (OSError, ValueError) as error:
        findings.problem(entry.at("ca"), "unreadable", message=f"{path} cannot be read: {why_unreadable(error)}")
        return None
    try:
        ssl.create_default_context(cadata=text)  # as the checks will
    except (ssl.SSLError, ValueError):
        message = f"{path} holds no certificates in PEM form"
        findings.problem(entry.at("ca"), "bad-certificate", message=message)
    return text


def _warn_of_reach(spec: CheckSpec, entry: Entry[CheckSection], findings: Findings, *, nodes: Sequence[Node]) -> None:
    if any(spec.targets_of(node, role) for node in nodes for role in spec.roles):
        return
    message = 'it is for no configured node: none has its role, selector, address and port, and a monitor but "none"'
    findings.warning(entry.path, "check-without-nodes", message=message)
