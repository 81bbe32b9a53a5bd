"""What is kept of a response so that it can be given again; `fastpath` says when, and when it is forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dnsd.core.records import ZoneNode


class Folded(NamedTuple):
    """The parts of an answer to a question in any case.

    Args:
        end: offset behind the question in the tail.
        rcode: for the counters.
        head: the response's header, less its ID.
        rest: gives what is behind the question, each time.
        exactly: what the query's tail must end with; empty: the table's key says enough. A key is in lower case, and
            in what is no name, that makes different bytes one.
        subject: what a limiter counts it under; empty: a limiter may not let all of it go.
    """

    end: int
    rcode: int
    head: bytes
    rest: Iterator[bytes]
    exactly: bytes
    subject: bytes


class Denial(NamedTuple):
    """How names right below one that exists are denied.

    Args:
        behind: bytes behind the question in the query.
        head: the response's header, less its ID.
        records: what is behind the question, by the length of the name's first label: pointers depend on it.
        nodes: the names of the zone; what the overlay adds is looked up beside it.
        exactly, subject: as in `Folded`.
    """

    behind: int
    head: bytes
    records: dict[int, bytes]
    nodes: Mapping[bytes, ZoneNode]
    exactly: bytes
    subject: bytes
