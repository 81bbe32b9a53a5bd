"""From options to requests."""

from __future__ import annotations

import math
from typing import Any

import click
import pytest

from dnsd.api.schemas import DrainRequest, ReleaseRequest, Request
from dnsd.cli.requests import request_of


def test_a_request_is_built_from_its_fields() -> None:
    """What fits is the request itself."""
    expected = DrainRequest(reason="x", roles=["edge"])
    assert request_of(DrainRequest, reason="x", roles=["edge"]) == expected


@pytest.mark.parametrize(
    ("model", "fields", "sentence"),
    [
        (DrainRequest, {"expires_in": math.inf}, "The value of --for is not a time that can be counted."),
        (DrainRequest, {"expires_in": math.nan}, "The value of --for is not a time that can be counted."),
        (DrainRequest, {"roles": [4]}, "The value of --role is not taken: "),
        (ReleaseRequest, {"all_holders": "no"}, "The value of --all-holders is not taken: "),
    ],
)
def test_what_no_request_can_hold_is_wrong_usage(model: type[Request], fields: dict[str, Any], sentence: str) -> None:
    """One plain sentence names the option, and the exit status is that of wrong usage."""
    with pytest.raises(click.UsageError) as caught:
        request_of(model, **fields)
    assert caught.value.message.startswith(sentence)
    assert len(caught.value.message.splitlines()) == 1
    assert caught.value.exit_code == 2
