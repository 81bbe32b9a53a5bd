"""Owner names as the configuration writes them."""

from __future__ import annotations

import re

from dnsd.core import names

# A label as hosts and services have them: letters, digits, hyphen and underscore (RFC 1123 §2.1, RFC 8552 §2).
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}", re.ASCII)

WILDCARD = "*."

APEX = "@"


def absolute(text: str, *, zone: str | None) -> str:
    """Return a name with its final dot, and otherwise as it is written.

    A name that could be read in two ways is refused: nothing is guessed.

    Args:
        zone: fully qualified and folded. As in a master file, a name without its final dot is relative to it, and `@`
            is the zone itself (RFC 1035 §5.1). None: every name is fully qualified.

    Raises:
        ValueError: not certain which name it is; the message says why.
    """
    if text.endswith("."):
        return text
    if text == APEX:
        if zone is None:
            raise ValueError('"@" stands for a zone: say for which one, as zone = "example.org."')
        return zone
    if zone is None or zone == ".":
        return text + "."
    folded = text.lower() + "."
    if folded == zone or folded.endswith(f".{zone}"):
        either = f"{text}. or {text}.{zone}"
        raise ValueError(f"{text!r} is {either}: write it with its final dot, or without the name of the zone")
    return f"{text}.{zone}"


def qualified(text: str) -> str:
    """Return a name folded to lower case, with its final dot.

    One without its final dot is taken as fully qualified as well; `absolute` is for those that may be relative.

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
