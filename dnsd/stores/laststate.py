"""The last known state of a remote store, in a file of this machine: what a server starts from while the store is away.

The file is one line that says what it is (version, size and SHA-256 of the rest), then the state as JSON. It is
replaced as a whole: whoever reads it has the one before or the one after, and one that is damaged is never used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dnsd.core.serials import SERIALS
from dnsd.model.drain import Drain
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.state import FleetState
from dnsd.model.times import format_instant, parse_instant

# It rises when an older dnsd would misread the file.
VERSION = 1

_KIND = "dnsd last state"


class HandedSerial(NamedTuple):
    """A serial with which a zone was handed out.

    Args:
        confirmed: the store has given it, so that no other content has it; else the server made it by itself.
        digest: of the records that were handed out with it, as text; empty: not known.
    """

    serial: int
    confirmed: bool
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastState:
    """What was known of a store.

    Args:
        store: which one: its label and prefix.
        heard_at: instant at which it was last read.
        serials: the last one of each zone, by its name; none where there are no transfers.
    """

    store: str
    heard_at: float
    state: FleetState
    serials: Mapping[str, HandedSerial] = field(default_factory=dict)


def write(path: Path, last: LastState) -> None:
    """Replace the file; it is on the disk when this returns.

    Raises:
        OSError: the file that was there before is as it was.
    """
    body = _body(last)
    head = {"kind": _KIND, "version": VERSION, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    try:
        beside.touch(mode=0o600)
        with beside.open("wb") as file:
            file.write(json.dumps(head).encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    _sync_folder(path.parent)


def read(path: Path) -> LastState | None:
    """Read the file; None: there is none.

    Raises:
        ValueError: with one sentence that says why it cannot be used.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    first, _, body = content.partition(b"\n")
    try:
        head = json.loads(first)
        kind, version = head["kind"], head["version"]
        whole = head["bytes"] == len(body) and head["sha256"] == hashlib.sha256(body).hexdigest()
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a last state of dnsd's") from error
    if kind != _KIND:
        raise ValueError(f"{path} is not a last state of dnsd's")
    if version != VERSION:
        raise ValueError(f"{path} was written by another dnsd (version {version}, this one knows {VERSION})")
    if not whole:
        raise ValueError(f"{path} is damaged")
    try:
        return _from_json(json.loads(body))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds what this dnsd cannot read ({error!r})") from error


def _body(last: LastState) -> bytes:
    state = last.state
    head = {
        "store": last.store,
        "heard_at": format_instant(last.heard_at),
        "revision": state.revision,
        "mark": state.mark,
        # An older dnsd does not look at it.
        "serials": {zone: each._asdict() for zone, each in last.serials.items()},
    }
    lists: tuple[tuple[str, Iterable[Node | Drain | Report]], ...] = (
        ("nodes", state.nodes.values()),
        ("drains", state.drains.values()),
        ("reports", state.reports.values()),
    )
    text = [_dump(head).removesuffix("}")]
    for name, values in lists:
        # One by one: other threads get their turn between two of a large fleet, and within one call they would not.
        items = ",\n".join(_dump(value.to_json()) for value in values)
        text.append(f',\n"{name}":[{items}]')
    return "".join([*text, "}\n"]).encode()


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _from_json(data: Mapping[str, Any]) -> LastState:
    nodes = [Node.from_json(each) for each in data["nodes"]]
    drains = [Drain.from_json(each) for each in data["drains"]]
    reports = [Report.from_json(each) for each in data["reports"]]
    return LastState(
        store=data["store"],
        heard_at=parse_instant(data["heard_at"]),
        state=FleetState(
            revision=data["revision"],
            nodes={node.id: node for node in nodes},
            drains={drain.key: drain for drain in drains},
            reports={report.node: report for report in reports},
            mark=data["mark"],
        ),
        serials={zone: _serial(each) for zone, each in data.get("serials", {}).items()},
    )


def _serial(data: Mapping[str, Any]) -> HandedSerial:
    serial, confirmed, digest = data["serial"], data["confirmed"], data.get("digest", "")
    if type(serial) is not int or not 0 <= serial < SERIALS:
        raise ValueError(f"{serial!r} is no serial")
    return HandedSerial(serial, bool(confirmed), str(digest))


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk as well."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
