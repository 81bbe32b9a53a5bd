"""The parameters of a call: what Consul's clients may send with each, and what is wrong with it.

It knows neither HTTP's headers nor the catalog.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dnsd.errors import PeerError

# How long a blocking query waits: where it does not say, and at most. Source: Consul's documents. Unit: seconds.
DEFAULT_WAIT_SECONDS = 300.0
MAX_WAIT_SECONDS = 600.0

# The part of the wait by which it may be longer, so that those who began together do not end together.
JITTER_SHARE = 1 / 16

# Consul's indexes are of 64 bits.
MAX_INDEX = 2**64 - 1

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"[+-]?(?:0|(?:[0-9]{1,12}(?:\.[0-9]{0,9})?(?:ns|us|µs|μs|ms|s|m|h)){1,8})", re.ASCII)
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)

TRUE = ("", "1", "t", "T", "TRUE", "true", "True")
FALSE = ("0", "f", "F", "FALSE", "false", "False")

# What would narrow an answer and cannot be honoured: to leave it out would answer more than was asked for.
REFUSED = ("filter", "peer", "sg")
OF_ENTERPRISE = ("ns", "partition")


class BadQueryError(PeerError):
    """A call that cannot be answered as it was meant; `status` and the text are Consul's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a call asks for beside its path.

    Args:
        index: 0: answer at once.
        wait_seconds: without jitter.
        consistent: only from a store that is there.
        passing: only instances of which every check passes.
        tags: an instance must have all of them.
        node_meta: a node must have all of these pairs.
        pretty: for people.
    """

    index: int = 0
    wait_seconds: float = DEFAULT_WAIT_SECONDS
    consistent: bool = False
    passing: bool = False
    tags: tuple[str, ...] = ()
    node_meta: tuple[tuple[str, str], ...] = ()
    pretty: bool = False


def read_query(parameters: Mapping[str, list[str]], *, datacenter: str) -> Query:
    """Return what parameters ask for; those that change no answer, and unknown ones, are passed over as Consul does.

    Args:
        parameters: by name, in their order.
        datacenter: ours.

    Raises:
        BadQueryError: one makes no sense, or cannot be honoured.
    """
    for name in REFUSED:
        if any(parameters.get(name, ())):
            raise BadQueryError(400, f"?{name} is not supported here")
    for name in OF_ENTERPRISE:
        if any(value != "default" for value in parameters.get(name, ()) if value):
            raise BadQueryError(400, f"Invalid query parameter: {name!r} is a Consul Enterprise feature")
    wanted = _first(parameters, "dc")
    if wanted and wanted != datacenter:
        raise BadQueryError(500, "No path to datacenter")
    consistent = "consistent" in parameters
    if consistent and "stale" in parameters:
        raise BadQueryError(400, "Cannot specify ?stale with ?consistent, conflicting semantics.")
    return Query(
        index=_index(_first(parameters, "index")),
        wait_seconds=_wait(_first(parameters, "wait")),
        consistent=consistent,
        passing=_passing(parameters.get("passing")),
        tags=tuple(sorted({tag for tag in parameters.get("tag", ()) if tag})),
        node_meta=tuple(sorted({_pair(text) for text in parameters.get("node-meta", ()) if text})),
        pretty="pretty" in parameters,
    )


def _first(parameters: Mapping[str, list[str]], name: str) -> str:
    values = parameters.get(name)
    return values[0] if values else ""


def _index(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch("[0-9]{1,20}", text) or int(text) > MAX_INDEX:
        raise BadQueryError(400, "Invalid index")
    return int(text)


def _wait(text: str) -> float:
    if not text:
        return DEFAULT_WAIT_SECONDS
    if not _DURATION.fullmatch(text):
        raise BadQueryError(400, "Invalid wait time")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if seconds <= 0 or text.startswith("-"):
        return DEFAULT_WAIT_SECONDS
    return min(seconds, MAX_WAIT_SECONDS)


def _passing(values: list[str] | None) -> bool:
    if values is None:
        return False
    if values[0] not in (*TRUE, *FALSE):
        raise BadQueryError(400, "Invalid value for ?passing")
    return values[0] in TRUE


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition(":")
    return key, value
