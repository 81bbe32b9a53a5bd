"""Owner names as the configuration writes them."""

from __future__ import annotations

import re

from dnsd.core import names

# A label as hosts and services have them: letters, digits, hyphen and underscore (RFC 1123 §2.1, RFC 8552 §2).
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}", re.ASCII)

WILDCARD = "*."


def qualified(text: str) -> str:
    """Return a name folded to lower case, with its final dot.

    The configuration has no origin, so that a name without its final dot is taken as fully qualified as well.

    Args:
        text: as written; the leftmost label may be `*` (RFC 4592 §2.1.1).

    Raises:
        ValueError: not a name; the message says why.
    """
    name = text if text.endswith(".") else text + "."
    if name != ".":
        for label in name.removeprefix(WILDCARD)[:-1].split("."):
            if not _LABEL.fullmatch(label):
                raise ValueError(f"{text!r} is not a name: a label has 1 to 63 letters, digits, hyphens or underscores")
    names.from_text(name)
    return name.lower()
