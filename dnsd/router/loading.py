"""From a router's configuration file to settings, or to every reason why it cannot be used."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dnsd.api.address import checked_server, checked_token
from dnsd.config.document import Entry, SectionReader, parse_toml
from dnsd.config.durations import check_duration
from dnsd.config.endpoints import read_endpoint
from dnsd.config.findings import Findings
from dnsd.config.schema import TopSection
from dnsd.errors import ConfigurationError
from dnsd.model.endpoint import Endpoint
from dnsd.model.node import HOLDER, ROLE
from dnsd.router.selection import RolePolicy
from dnsd.router.settings import (
    RoleSettings,
    RouterRoleSection,
    RouterSection,
    RouterServerSection,
    RouterSessionsSection,
    RouterSettings,
    RouterStoreSection,
)
from dnsd.router.tokens import LEAST_SECRET_SIZE, Signer
from dnsd.router.urls import UrlTemplate, checked_url
from dnsd.stores.opening import SCHEMES, files_of, is_remote, why_not

TABLES = ("router", "store", "server", "sessions", "role")
DRAINING, ROLE_PREFIX, URL_PREFIX = "draining", "role:", "url:"

# A token that is over before a client comes back, and reports that are always stale, are mistakes. Unit: seconds.
LEAST_SECONDS = 1.0

_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # as a server's configuration has it


def load_router_settings(path: Path) -> RouterSettings:
    """Read and check a router's configuration file.

    Args:
        path: the TOML file; relative paths in it are relative to its folder.

    Raises:
        ConfigurationError: with every problem of the file, and of those that it names.
    """
    data, findings = parse_toml(path)
    reader = SectionReader(data, findings)
    top = {key: value for key, value in data.items() if key not in TABLES}
    _check_top(reader, top, findings)
    folder = path.absolute().parent
    fields = {
        **_router(reader.entry(RouterSection, reader.table("router"), ("router",)), findings),
        **_source(data, reader, findings, folder=folder),
        "signer": _signer(data, reader, findings, folder=folder),
        "roles": _roles(reader.entries(RouterRoleSection, data.get("role", []), ("role",)), findings),
    }
    if findings.problems:
        raise ConfigurationError(findings.problems)
    return RouterSettings(**fields, folder=folder, warnings=tuple(map(str, findings.warnings)))


def _check_top(reader: SectionReader, top: Mapping[str, Any], findings: Findings) -> None:
    if "roles" in top:  # a server's key
        findings.problem(("roles",), "unknown-key", message='there is no key "roles" here; did you mean [[role]]?')
    reader.entry(TopSection, {key: value for key, value in top.items() if key != "roles"}, (), known=TABLES)


def _router(entry: Entry[RouterSection], findings: Findings) -> dict[str, Any]:
    section = entry.section
    name, listen, stale_after = "", [], LEAST_SECONDS
    if entry.good("id"):
        name = socket.gethostname() if section.id is None else section.id
        if not HOLDER.fullmatch(name):
            message = f"{name!r} cannot be an id: letters, digits and _ . @ : - , at most 128"
            findings.problem(entry.at("id"), "bad-router-id", message=message)
    if entry.good("listen"):
        listen = _listen(entry, findings)
    if entry.good("stale_after"):
        text, place = section.stale_after, entry.at("stale_after")
        stale_after = check_duration(text, place, findings, least_seconds=LEAST_SECONDS)
    factor = section.session_factor if entry.good("session_factor") else None
    return {"id": name, "listen": tuple(listen), "stale_after_seconds": stale_after, "session_factor": factor}


def _listen(entry: Entry[RouterSection], findings: Findings) -> list[Endpoint]:
    found: list[Endpoint] = []
    if not entry.section.listen:
        findings.problem(entry.at("listen"), "bad-value", message="name at least one address to listen on")
    for index, text in entry.texts("listen"):
        endpoint = read_endpoint(text, entry.at("listen", index), findings)
        if endpoint is None:
            continue
        if endpoint in found:
            findings.problem(
                entry.at("listen", index), "duplicate-listen", message=f"{endpoint.text} is listed already"
            )
        found.append(endpoint)
    return found


def _source(data: Mapping[str, Any], reader: SectionReader, findings: Findings, *, folder: Path) -> dict[str, Any]:
    """Return what is followed: a store, or servers."""
    fields: dict[str, Any] = {
        "store_url": None, "store_prefix": "", "state_file": None, "servers": (), "server_token": None,
    }  # fmt: skip
    if ("store" in data) == ("server" in data):
        message = "name either [store], the Redis that the servers share, or [server], and not both"
        findings.problem(("store" if "store" in data else "server",), "one-source", message=message)
    if "store" in data:
        fields |= _store(reader.entry(RouterStoreSection, reader.table("store"), ("store",)), findings, folder)
    if "server" in data:
        fields |= _servers(reader.entry(RouterServerSection, reader.table("server"), ("server",)), findings, folder)
    return fields


def _store(entry: Entry[RouterStoreSection], findings: Findings, folder: Path) -> dict[str, Any]:
    if entry.good("prefix") and not _PREFIX.fullmatch(entry.section.prefix):
        message = f"{entry.section.prefix!r} is not 1 to 64 letters, digits, dots, hyphens and underscores"
        findings.problem(entry.at("prefix"), "bad-prefix", message=message)
    state_file = None
    if entry.good("state_file") and entry.section.state_file:
        state_file = folder / entry.section.state_file
    elif entry.good("state_file"):
        message = "no state_file is named: a router that starts while the store is out of reach names nobody"
        findings.warning(entry.at("url"), "no-state-file", message=message)
    url = entry.section.url if entry.good("url") else None
    if url is not None and (reason := why_not(url)) is not None:
        known = url.partition("://")[0] in SCHEMES
        findings.problem(entry.at("url"), "bad-store-url" if known else "store-unsupported", message=reason)
    elif url is not None and not is_remote(url):
        message = "a store of one machine is its server's alone: name the server, as [server] urls"
        findings.problem(entry.at("url"), "store-not-shared", message=message)
    elif url is not None:
        for name, path in files_of(url, base=folder).items():
            _text_of(path, entry.at("url"), findings, what=name)
    prefix = entry.section.prefix if entry.good("prefix") else ""
    return {"store_url": url, "store_prefix": prefix, "state_file": state_file}


def _servers(entry: Entry[RouterServerSection], findings: Findings, folder: Path) -> dict[str, Any]:
    urls = []
    for index, url in entry.texts("urls"):
        try:
            urls.append(checked_server(url))
        except ValueError as error:
            findings.problem(entry.at("urls", index), "bad-url", message=str(error))
    token = None
    if entry.good("token_file") and entry.section.token_file is not None:
        place = entry.at("token_file")
        text = _text_of(folder / entry.section.token_file, place, findings, what="the token")
        try:
            token = None if text is None else checked_token(text.strip())
        except ValueError as error:
            findings.problem(place, "bad-token", message=str(error))
    return {"servers": tuple(dict.fromkeys(urls)), "server_token": token}


def _signer(data: Mapping[str, Any], reader: SectionReader, findings: Findings, *, folder: Path) -> Signer | None:
    if "sessions" not in data:
        findings.warning((), "no-sessions", message="no [sessions] secret_file is named: sessions get no tokens")
        return None
    entry = reader.entry(RouterSessionsSection, reader.table("sessions"), ("sessions",))
    lifetime = LEAST_SECONDS
    if entry.good("lifetime"):
        text, place = entry.section.lifetime, entry.at("lifetime")
        lifetime = check_duration(text, place, findings, least_seconds=LEAST_SECONDS)
    if not entry.good("secret_file"):
        return None
    place = entry.at("secret_file")
    text_of_file = _text_of(folder / entry.section.secret_file, place, findings, what="the file of secrets")
    if text_of_file is None:
        return None
    keys = [line.strip().encode() for line in text_of_file.splitlines() if line.strip()]
    if not keys or min(map(len, keys)) < LEAST_SECRET_SIZE:
        message = f"should have a secret of {LEAST_SECRET_SIZE} bytes or more in each line (openssl rand -hex 32)"
        findings.problem(place, "bad-secret", message=message)
        return None
    return Signer(keys, lifetime_seconds=lifetime)


def _text_of(path: Path, place: tuple[str | int, ...], findings: Findings, *, what: str) -> str | None:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        findings.problem(place, "unreadable", message=f"{what} {path} cannot be read: {reason}")
    return None


def _roles(entries: Sequence[Entry[RouterRoleSection]], findings: Findings) -> dict[str, RoleSettings]:
    roles: dict[str, RoleSettings] = {}
    names = {entry.section.name for entry in entries if entry.good("name")}
    for entry in entries:
        url = _template(entry, findings)
        policy, fallback_url = _fallback(entry, findings, names=names)
        if not entry.good("name"):
            continue
        name = entry.section.name
        if not ROLE.fullmatch(name):
            message = f"{name!r} cannot be a role: letters, digits, - and _, at most 63"
            findings.problem(entry.at("name"), "bad-role", message=message)
        if name in roles:
            findings.problem(entry.at("name"), "duplicate-role", message=f'there is a role "{name}" already')
        redirects = entry.good("redirect") and entry.section.redirect
        if redirects and entry.good("url") and entry.section.url is None:
            findings.problem(entry.at("redirect"), "no-url", message="there is no url to redirect to")
        roles[name] = RoleSettings(policy=policy, url=url, redirects=redirects, fallback_url=fallback_url)
    _check_other_urls(entries, roles, findings)
    return roles


def _check_other_urls(
    entries: Sequence[Entry[RouterRoleSection]], roles: Mapping[str, RoleSettings], findings: Findings
) -> None:
    """Find roles that redirect, and fall back to one whose nodes have no URL to redirect to."""
    for entry in entries:
        role = roles.get(entry.section.name) if entry.good("name") else None
        other = None if role is None or not role.redirects else roles.get(role.policy.other_role or "")
        if other is not None and other.url is None:
            message = f"{entry.section.fallback!r} has no url to redirect to"
            findings.problem(entry.at("fallback"), "no-url", message=message)


def _template(entry: Entry[RouterRoleSection], findings: Findings) -> UrlTemplate | None:
    if not entry.good("url") or entry.section.url is None:
        return None
    try:
        return UrlTemplate(entry.section.url)
    except ValueError as error:
        findings.problem(entry.at("url"), "bad-url", message=str(error))
    return None


def _fallback(entry: Entry[RouterRoleSection], findings: Findings, *, names: set[str]) -> tuple[RolePolicy, str | None]:
    """Return what a role's nodes are chosen by, and the URL to fall back to."""
    fails_open = not entry.good("fail_open") or entry.section.fail_open
    text = entry.section.fallback if entry.good("fallback") else None
    place = entry.at("fallback")
    if text is None or text == DRAINING:
        return RolePolicy(fails_open=fails_open, uses_draining=text == DRAINING), None
    if text.startswith(ROLE_PREFIX):
        other = text.removeprefix(ROLE_PREFIX)
        if other not in names or (entry.good("name") and other == entry.section.name):
            findings.problem(place, "bad-fallback", message=f"there is no other [[role]] {other!r}")
        return RolePolicy(fails_open=fails_open, other_role=other), None
    if text.startswith(URL_PREFIX):
        try:
            return RolePolicy(fails_open=fails_open), checked_url(text.removeprefix(URL_PREFIX))
        except ValueError as error:
            findings.problem(place, "bad-fallback", message=str(error))
            return RolePolicy(fails_open=fails_open), None
    message = f"{text!r} is neither draining, role:NAME nor url:URL"
    findings.problem(place, "bad-fallback", message=message)
    return RolePolicy(fails_open=fails_open), None
