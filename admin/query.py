"""Query parameters and the If-Match header: their declaration as data, and reading them with every reason at once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from multidict import MultiMapping

from dnsd.api.schemas import MAX_INTEGER, FieldError

ParamKind = Literal["string", "integer", "number", "boolean"]

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_REVISION = re.compile(r'"([0-9]{1,19})"|([0-9]{1,19})')


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """A query parameter.

    Args:
        default: its value where it is absent; a repeated one is then an empty tuple.
        minimum, maximum: of numbers, both included.
        choices: the only words taken; empty: any.
        repeat: it may be given several times, and its value is a tuple.
    """

    name: str
    kind: ParamKind
    description: str
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    repeat: bool = False

    def read(self, text: str) -> Any:
        """Return the value that a text stands for.

        Raises:
            ValueError: with what is expected.
        """
        value = _READERS[self.kind](text)
        if self.choices and value not in self.choices:
            raise ValueError(f"{text!r} is not one of: {', '.join(self.choices)}")
        if self.minimum is not None and value < self.minimum:
            raise ValueError(f"{text} is below {self.minimum:g}")
        if self.maximum is not None and value > self.maximum:
            raise ValueError(f"{text} is above {self.maximum:g}")
        return value


def _read_string(text: str) -> str:
    if not text:
        raise ValueError("is empty; leave it out instead")
    return text


def _read_integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{text!r} is not an integer")
    return int(text)


def _read_number(text: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return value


def _read_boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError(f"{text!r} is neither true nor false")
    return _BOOLEANS[text]


_READERS: Mapping[ParamKind, Callable[[str], Any]] = {
    "string": _read_string,
    "integer": _read_integer,
    "number": _read_number,
    "boolean": _read_boolean,
}


def read_query(query: MultiMapping[str], params: Sequence[Param]) -> tuple[dict[str, Any], list[FieldError]]:
    """Return the value of every parameter, and every reason why the query is not taken."""
    errors: list[FieldError] = []
    known = {param.name for param in params}
    for name in dict.fromkeys(query):
        if name not in known:
            takes = ", ".join(param.name for param in params) or "none"
            errors.append(FieldError(field=name, message=f"is not a query parameter of this call; it takes: {takes}"))
    values = {param.name: _read_param(query, param, errors) for param in params}
    return values, errors


def _read_param(query: MultiMapping[str], param: Param, errors: list[FieldError]) -> Any:
    texts = query.getall(param.name, [])
    if len(texts) > 1 and not param.repeat:
        errors.append(FieldError(field=param.name, message="is given more than once"))
        return param.default
    values = []
    for text in texts:
        try:
            values.append(param.read(text))
        except ValueError as error:
            errors.append(FieldError(field=param.name, message=str(error)))
    if param.repeat:
        return tuple(values)
    return values[0] if values else param.default


def read_if_match(values: Sequence[str]) -> tuple[int | None, list[FieldError]]:
    """Return the revision that If-Match asks for (RFC 9110 §13.1.1), None where there is no condition.

    `*` asks only that there be a state, and there always is one. The quotes may be missing.
    """
    if not values or list(values) == ["*"]:
        return None, []
    match = _REVISION.fullmatch(values[0].strip()) if len(values) == 1 else None
    revision = int(match[1] or match[2]) if match else MAX_INTEGER + 1
    if revision > MAX_INTEGER:
        return None, [FieldError(field="If-Match", message='expected one revision, as "42", or *')]
    return revision, []
