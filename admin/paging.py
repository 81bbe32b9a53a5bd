"""Lists in pages: by the key of the last item, so that what comes and goes meanwhile moves no page."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import TypedDict, TypeVar

from admin.problems import invalid
from admin.query import Param
from dnsd.api.schemas import FieldError, Page
from dnsd.stores.base import DEFAULT_HISTORY_PAGE, MAX_HISTORY_PAGE

ItemT = TypeVar("ItemT")
Key = tuple[str, ...]

# The most items in a page, and the default: a fleet's list fits in one answer. Unit: items.
MAX_PAGE = 1000

CURSOR = Param(name="cursor", kind="string", description="The `next` of the page before.")
LIMIT = Param(
    name="limit", kind="integer", description="The most items to answer.", default=MAX_PAGE, minimum=1, maximum=MAX_PAGE
)
HISTORY_LIMIT = Param(
    name="limit",
    kind="integer",
    description="The most items to answer.",
    default=DEFAULT_HISTORY_PAGE,
    minimum=1,
    maximum=MAX_HISTORY_PAGE,
)


class PageQuery(TypedDict):
    """Which page is asked for."""

    limit: int
    cursor: str | None


def page_of(
    items: Iterable[ItemT], key: Callable[[ItemT], Key], *, limit: int, cursor: str | None
) -> tuple[list[ItemT], str | None]:
    """Return one page of items in the order of their keys, and the cursor of the next.

    Args:
        key: what tells an item from every other.
        limit: items, 1 or more.
        cursor: what the page before returned; None: the first page.

    Raises:
        Fault: 400 where the cursor is not one of ours.
    """
    after = None if cursor is None else _decode(cursor)
    ordered = sorted((item for item in items if after is None or key(item) > after), key=key)
    page = ordered[:limit]
    return page, _encode(key(page[-1])) if len(ordered) > limit else None


def page(items: list[ItemT], cursor: str | None) -> Page[ItemT]:
    """Return a page as the API sends it."""
    return Page(items=items, next=cursor)


def bad_cursor() -> Exception:
    """Return the fault of a cursor that this server did not hand out."""
    return invalid([FieldError(field="cursor", message="is not a cursor of this call")])


def _encode(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _decode(cursor: str) -> Key:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise bad_cursor() from None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise bad_cursor()
    return tuple(parts)
