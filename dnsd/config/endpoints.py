"""Addresses to listen on, and who may reach the admin interface there."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from dnsd.config.document import Entry
from dnsd.config.findings import Findings
from dnsd.config.schema import AdminSection, DohSection, ServerSection, TlsSection, TransferSection
from dnsd.model.endpoint import Endpoint, parse_endpoint


def check_listen(
    entry: Entry[ServerSection] | Entry[TlsSection] | Entry[DohSection] | Entry[TransferSection],
    findings: Findings,
    *,
    taken: Sequence[Endpoint] = (),
) -> tuple[Endpoint, ...]:
    """Return the addresses that DNS listens on in some way; problems go to the findings.

    Args:
        taken: those that it listens on in other ways.
    """
    found: list[Endpoint] = []
    for index, text in entry.texts("listen"):
        path = entry.at("listen", index)
        endpoint = read_endpoint(text, path, findings)
        if endpoint is None:
            continue
        if endpoint.port == 0:
            message = "port 0 would give every worker and transport another port; name one"
            findings.problem(path, "bad-port", message=message)
        check_taken(endpoint, path, findings, taken=(*taken, *found))
        found.append(endpoint)
    return tuple(found)


def check_some_listen(server: Entry[ServerSection], findings: Findings) -> tuple[Endpoint, ...]:
    """Return the addresses of `[server]`, where there must be one."""
    if server.good("listen") and not server.section.listen:
        findings.problem(server.at("listen"), "bad-value", message="name at least one address to listen on")
    return check_listen(server, findings)


def check_admin_listen(
    admin: Entry[AdminSection], tokens: Sequence[object], findings: Findings, *, taken: Sequence[Endpoint]
) -> Endpoint | None:
    """Return the address of the admin interface; beyond loopback it is refused without tokens.

    Args:
        tokens: what is declared under `[[admin.token]]`, good or not.
        taken: the addresses that DNS listens on.
    """
    if not admin.good("listen"):
        return None
    path = admin.at("listen")
    endpoint = read_endpoint(admin.section.listen, path, findings)
    if endpoint and not ip_address(endpoint.host).is_loopback and not tokens:
        message = f"{endpoint.text} can be reached from elsewhere, and no [[admin.token]] protects it"
        findings.problem(path, "admin-open", message=message)
    if endpoint:
        check_taken(endpoint, path, findings, taken=taken)
    return endpoint


def check_taken(
    endpoint: Endpoint, path: tuple[str | int, ...], findings: Findings, *, taken: Sequence[Endpoint]
) -> None:
    """Report an address that has what another one needs: all of them listen over TCP."""
    claimed_by = findings.claim(endpoint.text, path)
    if endpoint in taken:
        by = f", by {claimed_by}" if claimed_by is not None else ""
        findings.problem(path, "duplicate-listen", message=f"{endpoint.text} is listed already{by}")
        return
    for other in taken:
        if _overlap(endpoint, other):
            message = f"{endpoint.text} and {other.text} overlap: 0.0.0.0 and [::] take a port on every address"
            findings.problem(path, "overlapping-listen", message=message)
            return


def _overlap(one: Endpoint, other: Endpoint) -> bool:
    """Say whether one of two addresses takes the other's port; [::] is IPv6 alone, and port 0 any free port."""
    hosts = ip_address(one.host), ip_address(other.host)
    same = one.port == other.port != 0 and hosts[0].version == hosts[1].version
    return same and any(host.is_unspecified for host in hosts)


def read_endpoint(text: str, path: tuple[str | int, ...], findings: Findings) -> Endpoint | None:
    """Return an address and port; None: it is none, and the findings say so."""
    try:
        return parse_endpoint(text)
    except ValueError as error:
        findings.problem(path, "bad-address", message=str(error))
        return None
