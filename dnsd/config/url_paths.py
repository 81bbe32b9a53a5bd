"""Paths of URLs, as the tables have them that speak HTTP."""

from __future__ import annotations

import re
from typing import Any

from dnsd.config.document import Entry
from dnsd.config.findings import Findings

# RFC 3986 §3.3, without what would have to be percent-encoded.
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*")

# RFC 9112 §3.2.1: a path and its query, as they stand in a request; what has to be is percent-encoded already.
_TARGET = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*")


def check_url_path(entry: Entry[Any], findings: Findings, *, example: str, is_target: bool = False) -> str | None:
    """Return the `path` of a table; None: it is of the wrong type. Problems go to the findings.

    Args:
        example: of good ones, for the message.
        is_target: it is sent as it stands: with a query, where it has one, and percent-encoded.
    """
    if not entry.good("path"):
        return None
    path: str = entry.section.path
    if not (_TARGET if is_target else _PATH).fullmatch(path):
        message = f"{path!r} is not the path of a URL, such as {example}"
        findings.problem(entry.at("path"), "bad-path", message=message)
    return path
