"""JSON of any length, written so that other threads get their turns.

`json.dumps` of a large fleet's list is one call that nothing interrupts: made in a thread, it would hold up the event
loop all the same, and drains with it. It knows no protocol.
"""

from __future__ import annotations

import json
from collections.abc import Iterator


def written(document: object) -> bytes:
    """Return JSON without spaces.

    Args:
        document: anything that JSON can hold; an iterator is written as a list, item by item, and none is kept.
    """
    if isinstance(document, Iterator):
        return b"[%b]" % b",".join(map(_dumped, document))
    return _dumped(document)


def _dumped(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
