"""What stands in Redis under which key, and how it is written there: the public layout of `docs/redis.md`.

It owns names, types and encodings. It knows nothing of connections, nor of when anything is read or written.

Entries of the change stream have the id `REVISION-0`, those of the history stream `REVISION-NUMBER`: so a reader that
knows a revision knows its place in both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dnsd.model.check import Results
from dnsd.model.drain import Drain
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.state import Change, ChangeRecord, Consumer, Entity, FleetState, HistoryEntry
from dnsd.model.times import format_instant, parse_instant
from dnsd.stores.base import Known
from dnsd.stores.claims import SerialClaim
from dnsd.stores.rules import MAX_INTEGER, is_news

# The version of this layout; it rises when an older dnsd would misread it.
SCHEMA = "1"

# What it is tried with; earlier ones have no ACLs, no TLS, and are not maintained. Valkey began with Redis 7.2.
OLDEST_VERSION = (6, 2)

# Entries of history that are kept; export older ones in time. Unit: entries.
HISTORY_KEPT = 100_000

# Applied revisions that are told to those who wait; a reader that missed one looks at the consumers. Unit: entries.
PROGRESS_KEPT = 1_000

# Restorations that are remembered for readers that come back from before them. Unit: entries.
RESTORATIONS_KEPT = 16

# What goes to the commit script in one packet. Unit: changes, or entries of history.
PACKET = 200

# The place before the first entry of a stream.
NOWHERE = "0-0"

# What other programs may write as an instant ends before the year 9999. Unit: seconds since the epoch.
LAST_INSTANT = 253_370_764_800.0

# A cursor is a place in the history stream as one integer: the revision, and the number within it below this.
_NUMBERS = 2**20
_SEQUENCE = re.compile(r'"sequence"\s*:\s*(\d+)')  # as put_reports.lua reads it

ValueT = TypeVar("ValueT")

# As scripts answer: an id, and names and values in turn.
Entry = Sequence[Any]


# What to do about keys that dnsd did not write.
NOT_OURS = "they are another program's: use another prefix"


class Keys:
    """The keys of one prefix; the hash tag keeps them on one slot of a cluster.

    Args:
        prefix: letters, digits, dots, hyphens, underscores.
    """

    def __init__(self, prefix: str) -> None:
        tag = f"{{{prefix}}}:"
        self.schema = tag + "schema"
        self.revision = tag + "revision"
        self.drains = tag + "drains"
        self.nodes = tag + "nodes"
        self.configured = tag + "configured"
        self.checked = tag + "checked"
        self.checked_whole = tag + "checked-whole"
        self.reports = tag + "reports"
        self.consumers = tag + "consumers"
        self.changes = tag + "changes"
        self.history = tag + "history"
        self.history_of_nodes = tag + "history-of-nodes"
        self.reported = tag + "reported"
        self.progress = tag + "progress"
        self.restorations = tag + "restorations"
        self.confirmed = tag + "confirmed"
        self.serials = tag + "serials"
        self.written_by_dnsd_alone = (self.revision, self.drains, self.nodes, self.changes, self.history)
        self.types: Mapping[str, str] = {
            self.schema: "string",
            self.revision: "string",
            self.drains: "hash",
            self.nodes: "hash",
            self.configured: "string",
            self.checked: "hash",
            self.checked_whole: "hash",
            self.reports: "hash",
            self.consumers: "hash",
            self.changes: "stream",
            self.history: "stream",
            self.history_of_nodes: "zset",
            self.reported: "stream",
            self.progress: "stream",
            self.restorations: "stream",
            self.confirmed: "string",
            self.serials: "hash",
        }


def other_type(key: str, found: str) -> str:
    """Say that a key has another type than ours."""
    return f"{key} is a {found}, not dnsd's: use another prefix, or move the key away"


def other_schema(found: str) -> str:
    """Say that the keys have another layout than ours."""
    return f"its keys were written by another dnsd (layout {found}, this one knows {SCHEMA}): run that version"


def dump(value: Mapping[str, Any]) -> str:
    """Return a value as Redis keeps it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def fields_of(entry: Entry) -> dict[str, str]:
    """Return the fields of an entry of a stream."""
    return dict(zip(entry[1][::2], entry[1][1::2], strict=True))


def read_state(
    revision: str | None,
    nodes: Sequence[str],
    drains: Sequence[str],
    reports: Sequence[str],
    last: Sequence[Entry],
) -> FleetState:
    """Read a cut: the values of the hashes, and the last entry of the change stream if there is one.

    Raises:
        ValueError: a value that this dnsd cannot read.
    """
    number = int(revision or 0)
    at_revision = bool(last) and last[0][0] == f"{number}-0"
    return FleetState(
        revision=number,
        nodes={node.id: node for node in map(_node, nodes)},
        drains={drain.key: drain for drain in map(_drain, drains)},
        reports={report.node: report for report in map(read_report, reports)},
        mark=fields_of(last[0]).get("mark", "") if at_revision else "",
    )


def read_change(entry: Entry) -> ChangeRecord:
    """Read an entry of the change stream.

    Raises:
        ValueError: this dnsd cannot read it.
    """
    fields = fields_of(entry)
    try:
        entity = Entity(fields["entity"])
        text = fields["value"]
        value = None if not text else _drain(text) if entity is Entity.DRAIN else _node(text)
        return ChangeRecord(
            revision=int(fields["revision"]),
            at=parse_instant(fields["at"]),
            change=Change(entity=entity, key=fields["key"], value=value),
            mark=fields.get("mark", ""),
        )
    except KeyError as error:
        raise ValueError(f"an entry of the change stream without {error}") from error


def has_replaced(restorations: Iterable[Mapping[str, str]], revision: int, mark: str) -> bool:
    """Say whether a store that had lost a revision was restored from a state without it.

    What is before the state that was restored is taken for a part of it.

    Args:
        restorations: the fields of their entries.
    """
    for each in restorations:
        known, to = int(each.get("known", 0)), int(each.get("to", 0))
        if known < revision <= to and each.get("mark") != mark:
            return True
        if revision == known and each.get("known_mark") not in ("", mark):
            return True
    return False


def write_commit(
    *,
    expected: tuple[int, str],
    becomes: tuple[int, str],
    at: float,
    changes: Sequence[Change],
    history: Iterable[HistoryEntry],
    restores: tuple[int, str] | None,
    changes_kept: int,
) -> list[str]:
    """Return what the commit script takes, behind the instant by which it must have come.

    Args:
        expected, becomes, restores: revisions, each with its mark; see `DrainStore.commit`.
        changes_kept: entries that the change stream keeps.
    """
    packets = _packets_of_changes(changes, first=becomes[0] - len(changes) + 1)
    return [
        SCHEMA,
        str(expected[0]),
        expected[1],
        str(becomes[0]),
        format_instant(at),
        becomes[1],
        str(changes_kept),
        str(HISTORY_KEPT),
        *(("", "") if restores is None else (str(restores[0]), restores[1])),
        str(RESTORATIONS_KEPT),
        str(len(packets)),
        *packets,
        *_packets_of_history(history),
    ]


def _packets_of_changes(changes: Iterable[Change], *, first: int) -> list[str]:
    """Return packets with revision, entity, key and value of each."""
    words: list[str] = []
    for revision, change in enumerate(changes, first):
        value = "" if change.value is None else dump(change.value.to_json())
        words += [str(revision), change.entity.value, change.key, value]
    return _packets(words, size=4 * PACKET)


def _packets_of_history(history: Iterable[HistoryEntry]) -> list[str]:
    """Return packets with id, node and text of each."""
    words: list[str] = []
    for number, entry in enumerate(history):
        words += [f"{entry.revision}-{number}", entry.node, dump(entry.to_json())]
    return _packets(words, size=3 * PACKET)


def _packets(words: Sequence[str], *, size: int) -> list[str]:
    return [json.dumps(words[start : start + size], ensure_ascii=False) for start in range(0, len(words), size)]


def read_history(entry: Entry) -> tuple[HistoryEntry, int]:
    """Read an entry of the history stream, and its cursor."""
    revision, _, number = entry[0].partition("-")
    return _read(HistoryEntry.from_json, fields_of(entry).get("entry", "")), int(revision) * _NUMBERS + int(number)


def history_id_before(cursor: int | None) -> str | None:
    """Return the id of the newest entry that a page before a cursor may hold; None: there can be none."""
    if cursor is None or cursor > MAX_INTEGER * _NUMBERS:
        return "+"
    if cursor <= 0:
        return None
    revision, number = divmod(cursor - 1, _NUMBERS)
    return f"{revision}-{number}"


def history_member_before(node: str, cursor: int | None) -> str:
    """Return the upper bound, in the index of nodes, of a page before a cursor; it is the script's form of an id."""
    if cursor is None or cursor > MAX_INTEGER * _NUMBERS:
        return f"({node}/:"  # a colon follows the digits
    revision, number = divmod(max(0, cursor), _NUMBERS)
    return f"({node}/{revision:020d}-{number:07d}"


def history_id_of_member(member: str) -> str:
    """Return the id of the entry that a member of the index of nodes stands for."""
    revision, _, number = member.rpartition("/")[2].partition("-")
    return f"{int(revision)}-{int(number)}"


def read_report(text: str) -> Report:
    """Read a report.

    Raises:
        ValueError: this dnsd cannot read it.
    """
    return _read(Report.from_json, text)


def tells_news(node: str, text: str | None, known: Known | None) -> bool:
    """Say whether the text of a report may be newer than what a caller has of the node, without reading all of it."""
    found = _SEQUENCE.search(text) if text is not None else None
    return found is None or is_news(node, int(found[1]), known)


def write_configured(nodes: Iterable[Node], *, server: str, at: float) -> str:
    """Return the nodes of a server's configuration as Redis keeps them for other programs."""
    return dump({"server": server, "at": format_instant(at), "nodes": {node.id: node.to_json() for node in nodes}})


def read_configured(text: str | None) -> tuple[Node, ...] | None:
    """Read the nodes of a server's configuration; None where no server has told of its own.

    Raises:
        ValueError: this dnsd cannot read it.
    """
    if not text:
        return None
    nodes: tuple[Node, ...] = _read(lambda data: tuple(map(Node.from_json, data["nodes"].values())), text)
    return nodes


@dataclass(frozen=True, slots=True)
class Lately:
    """What a server's checks have found since it told all that it knew then.

    Args:
        mark: by which it knows what it told then; None: it has told it nothing, and here is all there is.
        nodes: in the place of what it told then; without a role: it knows nothing of the node any more.
        at: when it told this.
    """

    mark: str | None
    nodes: Results
    at: float


def write_lately(lately: Lately) -> str:
    """Return what is new of a server's checks as Redis keeps it."""
    return dump({"at": format_instant(lately.at), "whole": lately.mark, "nodes": _words_of(lately.nodes)})


def read_lately(text: str) -> Lately:
    """Read what is new of a server's checks.

    Raises:
        ValueError: this dnsd cannot read it.
    """

    def from_json(data: Mapping[str, Any]) -> Lately:
        mark = data.get("whole")
        return Lately(None if mark is None else str(mark), _results_of(data["nodes"]), _instant(data["at"]))

    return _read(from_json, text)


def write_whole(mark: str, results: Results) -> str:
    """Return all that a server's checks had found at some time as Redis keeps it."""
    return dump({"mark": mark, "nodes": _words_of(results)})


def read_whole(text: str) -> tuple[str, Results]:
    """Read all that a server's checks had found at some time, and its mark.

    Raises:
        ValueError: this dnsd cannot read it.
    """
    return _read(lambda data: (str(data["mark"]), _results_of(data["nodes"])), text)


def _words_of(results: Results) -> dict[str, dict[str, str]]:
    return {node: {role: "up" if up else "down" for role, up in roles.items()} for node, roles in results.items()}


def _results_of(data: Mapping[str, Mapping[str, str]]) -> Results:
    """Return what words say; of a word that this dnsd does not know, nothing."""
    return {
        node: {role: word == "up" for role, word in roles.items() if word in ("up", "down")}
        for node, roles in data.items()
    }


def write_claims(claims: Iterable[SerialClaim]) -> list[str]:
    """Return what the script takes of claims for serials."""
    words: list[str] = []
    for claim in claims:
        known = "" if claim.known is None else str(claim.known)
        words += [claim.zone, claim.digest, str(claim.at_least), str(claim.first), known, "1" if claim.anew else "0"]
    return words


def write_consumer(consumer: Consumer) -> str:
    """Return a consumer as Redis keeps it."""
    return dump(
        {
            "kind": consumer.kind,
            "applied": consumer.applied,
            "applied_at": format_instant(consumer.applied_at),
            "seen_at": format_instant(consumer.seen_at),
            "mark": consumer.mark,
        }
    )


def read_consumer(key: str, text: str) -> Consumer:
    """Read a consumer, which may have been written by a program of somebody else's.

    Raises:
        ValueError: this dnsd cannot read it.
    """

    def from_json(data: Mapping[str, Any]) -> Consumer:
        seen_at, applied = _instant(data["seen_at"]), data["applied"]
        if type(applied) is not int or not 0 <= applied <= MAX_INTEGER:
            raise ValueError(f"applied is 0 to {MAX_INTEGER}")
        return Consumer(
            id=key,
            kind=str(data["kind"]),
            applied=applied,
            applied_at=_instant(data["applied_at"]) if "applied_at" in data else seen_at,
            seen_at=seen_at,
            mark=str(data.get("mark", "")),
        )

    return _read(from_json, text)


def _instant(text: str) -> float:
    """Read an instant that can be written again, whatever its zone."""
    instant = parse_instant(text)
    if not 0 <= instant < LAST_INSTANT:
        raise ValueError(f"{text!r} is no instant of these times")
    return instant


def _drain(text: str) -> Drain:
    return _read(Drain.from_json, text)


def _node(text: str) -> Node:
    return _read(Node.from_json, text)


def _read(from_json: Callable[[Mapping[str, Any]], ValueT], text: str) -> ValueT:
    try:
        return from_json(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{error!r} in {text[:80]!r}") from error
