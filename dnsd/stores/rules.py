"""What every store asks of its arguments, so that all stores refuse the same things before they write anything.

It owns the consistency of one commit with itself. It knows nothing of what a store holds, nor of how it keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dnsd.model.drain import Drain, DrainKey
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.state import Change, Entity, HistoryEntry
from dnsd.stores.base import MAX_HISTORY_PAGE, Known

# The largest integer that SQLite and Redis keep (64 bits with a sign). Unit: none.
MAX_INTEGER = 2**63 - 1


def check_commit(
    *,
    expected_revision: int,
    changes: Sequence[Change],
    history: Sequence[HistoryEntry],
    skip_to: int | None = None,
) -> int:
    """Check that a commit agrees with itself and return the revision that it makes.

    Args:
        expected_revision: the revision that it was decided on.
        changes: as they are to be applied.
        history: as it is to be appended.
        skip_to: the revision that the first change follows; None: the expected one.

    Raises:
        ValueError: it does not; the message has every reason.
    """
    base = expected_revision if skip_to is None else skip_to
    reasons = list(_reasons(base, changes, history, skips=skip_to is not None))
    if base < expected_revision:
        reasons.append(f"{base} is not a revision to skip to from {expected_revision}")
    if reasons:
        raise ValueError("; ".join(reasons))
    return base + len(changes)


def check_reports(reports: Sequence[Report]) -> None:
    """Check that a store can keep these reports.

    Raises:
        ValueError: a sequence number that no store can hold; the message names every such node.
    """
    wrong = [report.node for report in reports if not 0 <= report.sequence <= MAX_INTEGER]
    if wrong:
        raise ValueError(f"a report's sequence is 0 to {MAX_INTEGER}: {', '.join(wrong)}")


def is_news(node: str, sequence: int, known: Known | None) -> bool:
    """Say whether a report is newer than what a caller has of the node."""
    has = None if known is None else known(node)
    return has is None or sequence > has


def check_history_limit(limit: int) -> None:
    """Check the size of a page of history.

    Raises:
        ValueError: it is not 1 to `MAX_HISTORY_PAGE`.
    """
    if not 1 <= limit <= MAX_HISTORY_PAGE:
        raise ValueError(f"a page of history has 1 to {MAX_HISTORY_PAGE} entries, not {limit}")


def _reasons(base: int, changes: Sequence[Change], history: Sequence[HistoryEntry], *, skips: bool) -> Iterator[str]:
    if not 0 <= base <= MAX_INTEGER - len(changes):
        yield f"{base} is not a revision"
    if not changes and not skips:
        yield "a commit has one change or more"
    for revision, change in enumerate(changes, base + 1):
        if change.entity is Entity.DRAIN:
            yield from _reasons_of_drain(change, revision)
        else:
            yield from _reasons_of_node(change)
    last = base + len(changes)
    for entry in history:
        if not base < entry.revision <= last:
            yield f"a history entry of revision {entry.revision} in a commit of {base + 1} to {last}"


def _reasons_of_drain(change: Change, revision: int) -> Iterator[str]:
    try:
        key = DrainKey.of(change.key)
    except ValueError:
        yield f"{change.key!r} is not a drain's key: node/role/holder"
        return
    if not all(key):
        yield f"{change.key!r} is not a drain's key: one of its three parts is empty"
    drain = change.value
    if drain is None:
        return
    if not isinstance(drain, Drain) or drain.key != key:
        yield f"the value under {change.key!r} is not the drain of that key"
    elif drain.revision != revision:
        yield f"the drain {change.key!r} says revision {drain.revision} where it makes {revision}"


def _reasons_of_node(change: Change) -> Iterator[str]:
    if not change.key or "/" in change.key:
        yield f"{change.key!r} is not a node's id"
    node = change.value
    if node is None:
        return
    if not isinstance(node, Node) or node.id != change.key:
        yield f"the value under {change.key!r} is not the node of that id"
    elif node.configured:
        yield f"the node {change.key!r} is declared in a configuration, so it is not kept in a store"
