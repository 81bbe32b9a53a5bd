"""From the options of a command to a request of the interface: what no request can hold is wrong usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from dnsd.api.schemas import Request

RequestT = TypeVar("RequestT", bound="Request")

# Under which option the command line has a field; any other has an option of its own name.
OPTION_OF_FIELD: Mapping[str, str] = {
    "roles": "--role",
    "expires_in": "--for",
    "expires_at": "--until",
    "starts_at": "--at",
}

# By the kind of error that the schema library tells.
PHRASES: Mapping[str, str] = {"finite_number": "is not a time that can be counted"}


def request_of(model: type[RequestT], **fields: Any) -> RequestT:
    """Return a request.

    Raises:
        click.UsageError: a field cannot be what its option says; it names the option.
    """
    from pydantic import ValidationError

    try:
        return model(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        option = OPTION_OF_FIELD.get(field, f"--{field.replace('_', '-')}")
        said = PHRASES.get(first["type"], f"is not taken: {first['msg']}")
        raise click.UsageError(f"The value of {option} {said}.") from None
