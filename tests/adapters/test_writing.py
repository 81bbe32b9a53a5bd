"""Long JSON: item by item, and nothing kept of what is written already."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator

from dnsd.adapters.writing import written


class Item(dict[str, object]):
    """A dictionary of which it can be told whether it is still there."""


def test_an_iterator_is_written_item_by_item() -> None:
    """Each is gone before the next is asked for: no call of the encoder has more than one of them."""
    seen: list[weakref.ref[Item]] = []

    def items() -> Iterator[Item]:
        for number in range(5):
            assert [each() for each in seen] == [None] * number
            item = Item(number=number, text="\u00e9")
            seen.append(weakref.ref(item))
            yield item
            del item

    text = written(items())
    assert json.loads(text) == [{"number": number, "text": "\u00e9"} for number in range(5)]
    assert b" " not in text


def test_what_is_no_iterator_is_written_as_it_is() -> None:
    """Lists, dictionaries, nothing at all, and an iterator without items."""
    for document in ([], [1, "a"], {"a": [None]}, None):
        assert json.loads(written(document)) == document
    assert written(iter(())) == b"[]"
