"""The load on the admin interface sends requests that a server takes, and reads its answers."""

from __future__ import annotations

import json

import pytest

from bench import http


def test_a_report_has_room_for_its_sequence_number() -> None:
    """The length that the header states is that of the body with the number in it."""
    before, after = http.report("edge-1", 8053)
    head, body = (before + http.sequence() + after).split(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/nodes/edge-1/report HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["health"] == {"edge": "up"}


def test_answers_are_taken_one_by_one() -> None:
    """What is not complete stays until the rest has come."""
    buffer = bytearray(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 202 Accepted\r\nContent-Length: 1\r\n\r\n"
    )
    assert http.take_response(buffer) == (200, b"{}")
    assert http.take_response(buffer) is None
    buffer += b"x"
    assert http.take_response(buffer) == (202, b"x")
    assert not buffer


def test_an_answer_without_a_length_is_refused() -> None:
    """The load does not guess where an answer ends."""
    with pytest.raises(ValueError, match="no response with a length"):
        http.take_response(bytearray(b"HTTP/1.1 200 OK\r\n\r\n"))
