"""Where the requests of a connection begin, in whatever parts its bytes come."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.framing import MAX_HEAD_SIZE, Boundary
from tests.admin.wire import BODY, JSON, request

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
PLAIN = (request(JSON), GET, request(JSON, body=b""), GET.replace(b"GET", b"DELETE"))

# Behind which nobody knows where the next request begins.
UNCLEAR = {
    "a version of old": b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n",
    "lines that end otherwise": b"GET / HTTP/1.1\nHost: localhost\n\n" + b"\r\n\r\n",
    "a folded field": b"GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n",
    "an empty line before it": b"\r\n" + GET,
    "two lengths": request(JSON, "Content-Length: 5"),
    "a length that is no number": request(JSON).replace(b"Content-Length: ", b"Content-Length: +"),
    "a transfer coding": request(JSON, "Transfer-Encoding: chunked"),
    "an expectation": request(JSON, "Expect: 100-continue"),
    "another protocol": request(JSON, "Upgrade: websocket"),
    "a tunnel": b"CONNECT / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a head without end": b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_SIZE,
}


def in_parts(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut bytes at these places, each counted from the beginning."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in itertools.pairwise(places)]


@given(st.lists(st.sampled_from(PLAIN), max_size=6), st.lists(st.integers(0, 4000), max_size=8))
def test_a_request_begins_where_the_one_before_ends(requests: list[bytes], cuts: list[int]) -> None:
    """And nowhere else, wherever the bytes are cut."""
    ends = {0}
    for each in requests:
        ends.add(max(ends) + len(each))
    boundary, come = Boundary(), 0
    assert boundary.is_here
    for part in in_parts(b"".join(requests), cuts):
        boundary.pass_over(part)
        come += len(part)
        assert boundary.is_here is (come in ends)
    assert not boundary.lost


@pytest.mark.parametrize("name", UNCLEAR)
@given(cuts=st.lists(st.integers(0, 6000), max_size=4))
def test_behind_what_is_not_plain_nothing_is_known_for_ever(name: str, cuts: list[int]) -> None:
    """Nor is a beginning seen within it."""
    boundary = Boundary()
    for number, part in enumerate(in_parts(UNCLEAR[name], cuts)):
        assert boundary.is_here is (number == 0)
        boundary.pass_over(part)
    assert boundary.lost
    for each in PLAIN:
        boundary.pass_over(each)
        assert not boundary.is_here


@given(st.integers(1, len(BODY)))
def test_a_body_is_counted_by_its_length_alone(missing: int) -> None:
    """Whatever looks like a request in it is none."""
    body = GET * 3
    data = request(JSON, body=body)
    boundary = Boundary()
    boundary.pass_over(data[:-missing] if missing < len(body) else data[: -len(body)])
    assert not boundary.is_here
    boundary.pass_over(data[-missing:] if missing < len(body) else body)
    assert boundary.is_here
