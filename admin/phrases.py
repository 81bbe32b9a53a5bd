"""What is wrong with a field of a body, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dnsd.api.schemas import FieldError

# By the kind of error that the schema library tells; a kind that is not here is told in the library's words.
PHRASES: Mapping[str, str] = {
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "extra_forbidden": "is not a field of this call",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than_equal": "must be {ge} or more",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be {le} or less",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "is required",
    "model_type": "must be an object",
    "string_type": "must be text",
}


def field_error(item: Mapping[str, Any]) -> FieldError:
    """Return one error of a validation as the interface tells it.

    Args:
        item: `type`, `loc`, `msg` and perhaps `ctx`, as the schema library lists them.
    """
    place = ".".join(str(part) for part in item["loc"]) or "body"
    phrase = PHRASES.get(item["type"])
    if phrase is not None:
        return FieldError(field=place, message=phrase.format(**item.get("ctx", {})))
    return FieldError(field=place, message=str(item["msg"]).removeprefix("Value error, "))
