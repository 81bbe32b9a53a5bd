"""Server URLs, tokens and paths, checked before anything is sent."""

from __future__ import annotations

import pytest

from dnsd.api.address import checked_server, checked_token, path_of


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8053", "http://127.0.0.1:8053"),
        ("https://dns.example.org/fleet/", "https://dns.example.org/fleet"),
        ("http://[::1]:8053/", "http://[::1]:8053"),
        ("localhost:8053", "http://localhost:8053"),
        ("127.0.0.1:8053/", "http://127.0.0.1:8053"),
        ("[::1]:8053", "http://[::1]:8053"),
        ("dns.example.org", "http://dns.example.org"),
        ("dns.example.org/fleet", "http://dns.example.org/fleet"),
    ],
)
def test_a_server_is_an_http_url(text: str, url: str) -> None:
    """An http or https URL is taken, with or without a path, and loses its final slash; http:// may be missing."""
    assert checked_server(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "ftp://h",
        "http://",
        "http://h:0",
        "http:/h",
        "http:h",
        "h:99999",
        "h:",
        "//h",
        "user:pw@h",
        "user@h",
        "h?x=1",
        "h /",
        "h\n",
        "http://h:99999",
        "http://[::1",
        "http://user:pw@h",
        "http://h?x=1",
        "http://h#x",
        "http://h/a b",
        "http://h\n",
        "",
    ],
)
def test_what_is_no_server_is_refused(text: str) -> None:
    """Anything that is not scheme, host, port and path is refused."""
    with pytest.raises(ValueError, match=r"is not a URL|has more than"):
        checked_server(text)


@pytest.mark.parametrize("text", ["", "a b", "a\r\nX-Evil: 1", "tokén"])
def test_a_token_that_cannot_stand_in_a_header_is_refused_and_not_repeated(text: str) -> None:
    """A bad token is refused with a message that does not show it."""
    with pytest.raises(ValueError, match="no bearer token") as caught:
        checked_token(text)
    assert not text or text not in str(caught.value)


def test_a_segment_is_encoded_whole() -> None:
    """Slashes, question marks and non-ASCII letters of an id stay in its segment."""
    assert path_of("pools", "a/b?c#d%é") == "/v1/pools/a%2Fb%3Fc%23d%25%C3%A9"


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_a_segment_that_would_name_another_resource_is_refused(segment: str) -> None:
    """Empty and dot segments are refused rather than resolved."""
    with pytest.raises(ValueError, match="cannot stand in a path"):
        path_of("nodes", segment, "drain")
