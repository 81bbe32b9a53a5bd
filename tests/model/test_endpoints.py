"""Addresses with ports, as configurations write them."""

from __future__ import annotations

import pytest

from dnsd.model.endpoint import Endpoint, parse_endpoint


@pytest.mark.parametrize("text", ["127.0.0.1:53", "0.0.0.0:0", "[::1]:5353", "[fe80::1]:65535"])
def test_an_endpoint_is_written_as_it_was_read(text: str) -> None:
    """What a configuration says in the usual form is what messages say of it."""
    assert parse_endpoint(text).text == text


def test_an_endpoint_has_one_form() -> None:
    """Another way to write an address is the same endpoint."""
    assert parse_endpoint("[2001:DB8:0:0::1]:053") == Endpoint("2001:db8::1", 53)


@pytest.mark.parametrize(
    "text", ["127.0.0.1", ":53", "ns1:53", "::1:53", "[127.0.0.1]:53", "[::1]53", "127.0.0.1:65536", "127.0.0.1:٥٣"]
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    """Names, missing parts, misplaced brackets and ports beyond the last are errors that quote the text."""
    with pytest.raises(ValueError, match=r"^'"):
        parse_endpoint(text)
