"""Which store to open, and where it keeps its files."""

from __future__ import annotations

import re
from pathlib import Path

from dnsd.config.document import Entry
from dnsd.config.findings import Findings
from dnsd.config.schema import StoreSection
from dnsd.stores.opening import SCHEMES, files_of, is_remote, why_not
from dnsd.zonefile.files import read_regular, why_unreadable

# It becomes part of keys, where braces and colons separate.
_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_SQLITE = "sqlite://"


def check_store(entry: Entry[StoreSection], findings: Findings, *, folder: Path) -> str:
    """Return the store's URL with an absolute path; problems go to the findings.

    Args:
        folder: what relative paths are relative to.
    """
    if entry.good("prefix") and not _PREFIX.fullmatch(entry.section.prefix):
        message = f"{entry.section.prefix!r} is not 1 to 64 letters, digits, dots, hyphens and underscores"
        findings.problem(entry.at("prefix"), "bad-prefix", message=message)
    if not entry.good("url"):
        return ""
    if "url" not in entry.section.model_fields_set:
        message = "no store is named: drains are kept in memory and a restart forgets them"
        findings.warning(entry.at("url"), "store-forgets", message=message)
    url = entry.section.url
    scheme, separator, rest = url.partition("://")
    resolved = f"{_SQLITE}{_absolute(folder, rest)}" if scheme == "sqlite" else url
    # The folder's own name may hold what no URL can, so both forms are asked about.
    reason = why_not(url) or why_not(resolved)
    if reason is None:
        if is_remote(url) and "state_file" not in entry.section.model_fields_set:
            message = (
                "no state_file is named: a server that starts while the store is out of reach has nothing to serve"
            )
            findings.warning(entry.at("url"), "no-state-file", message=message)
        return resolved
    if separator and scheme in SCHEMES:
        findings.problem(entry.at("url"), "bad-store-url", message=reason)
    else:
        findings.problem(entry.at("url"), "store-unsupported", message=reason)
    return ""


def warn_of_forgotten_serials(entry: Entry[StoreSection], findings: Findings) -> None:
    """Say that secondaries may see older serials, where zones are transferred and the store forgets."""
    if entry.good("url") and entry.section.url.partition("://")[0] == "memory":
        message = "serials of zones are kept in memory: after a restart, secondaries may see older ones and take none"
        findings.warning(entry.at("url"), "serials-forgotten", message=message)


def check_store_files(
    url: str, entry: Entry[StoreSection], findings: Findings, *, folder: Path, starting: bool
) -> None:
    """Look whether the files that a store's URL names can be read.

    Args:
        url: as `check_store` returned it.
        folder: what relative paths are relative to.
        starting: a server that runs has its store, and needs them only to connect again: what is missing is a warning.
    """
    report = findings.problem if starting else findings.warning
    for name, path in (files_of(url, base=folder) if url else {}).items():
        try:
            read_regular(path)
        except (OSError, ValueError) as error:
            report(entry.at("url"), "unreadable", message=f"{name} {path} cannot be read: {why_unreadable(error)}")


def check_state_file(entry: Entry[StoreSection], findings: Findings, *, folder: Path) -> Path | None:
    """Return the path of the last known state, absolute."""
    if not entry.good("state_file") or entry.section.state_file is None:
        return None
    text = entry.section.state_file
    if not text or text.endswith("/") or "\0" in text:
        findings.problem(entry.at("state_file"), "bad-path", message=f"{text!r} is not the path of a file")
    return _absolute(folder, text)


def check_min_replicas(entry: Entry[StoreSection], findings: Findings) -> int:
    """Return how many replicas must have a write; a store without replicas has none to wait for."""
    if not entry.good("min_replicas", "url"):
        return 0
    count = entry.section.min_replicas
    if count and why_not(entry.section.url) is None and not is_remote(entry.section.url):
        message = "this store has no replicas: min_replicas is for Redis"
        findings.problem(entry.at("min_replicas"), "no-replicas", message=message)
    return count


def _absolute(folder: Path, text: str) -> Path:
    # Links and `..` stay: where they lead may change while the server runs, and the operator named them.
    return (folder / text).absolute()
