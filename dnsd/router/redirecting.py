"""Choosing among the nodes that clients can be redirected to: a node may lack what its role's URL is made of.

It knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable

from dnsd.router.errors import AllExcluded, NoUrl
from dnsd.router.selection import Choice

# Nodes that are passed over one by one before all without a URL are looked for. Unit: nodes.
TRIES = 16

Select = Callable[[frozenset[str]], Choice]


def with_url(
    select: Select,
    *,
    exclude: frozenset[str],
    has_url: Callable[[Choice], bool],
    all_without: Callable[[], frozenset[str]],
) -> Choice:
    """Return the first choice that has a URL.

    Args:
        select: makes a choice that is none of some nodes.
        exclude: nodes that it may not be anyhow.
        all_without: gives every node without a URL; it may take long.

    Raises:
        NoNode: one of its kinds; `NoUrl` where only nodes without a URL are left.
    """
    without: frozenset[str] = frozenset()
    for _ in range(TRIES):
        choice = _selected(select, exclude, without)
        if has_url(choice):
            return choice
        without |= {choice.node.id}
    choice = _selected(select, exclude, without | all_without())
    if has_url(choice):
        return choice
    raise NoUrl(f"no node of the role {choice.role} has a URL to redirect to")


def _selected(select: Select, exclude: frozenset[str], without: frozenset[str]) -> Choice:
    try:
        return select(exclude | without)
    except AllExcluded:
        if without - exclude:
            raise NoUrl("no node that can be used has a URL to redirect to") from None
        raise
