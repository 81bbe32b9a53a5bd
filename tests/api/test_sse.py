"""The reader of server-sent events: bytes in, messages out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.api.sse import MAX_EVENT_SIZE, EventStream, EventTooLarge, Message

STREAM = (
    "\ufeff: hello\nid: 7\nevent: drain\ndata: {\ndata: }\n\r\n"
    ":\r\ndata:no space\r\rid\ndata\n\nevent: alone\n\nid: a\0b\ndata:  naïve ✓\n\n"
).encode()
MESSAGES = [
    Message("{\n}", "drain", "7"),
    Message("no space", "message", "7"),
    Message("", "message", ""),
    Message(" naïve ✓", "message", ""),
]


def read(*chunks: bytes) -> list[Message]:
    stream = EventStream()
    return [message for chunk in chunks for message in stream.feed(chunk)]


def test_a_stream_is_read_as_the_standard_says() -> None:
    """Comments, a BOM, the three line ends, joined data lines, ids and unnamed types are read as specified."""
    assert read(STREAM) == MESSAGES


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_chunks_may_end_anywhere(cuts: list[int]) -> None:
    """Where the network cuts a stream, even within a character or a CRLF, changes nothing of what is read."""
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in itertools.pairwise(edges)]
    assert read(*chunks) == MESSAGES


def test_a_carriage_return_ends_a_line_at_once() -> None:
    """A message whose last line end is a lone CR is not held back until more comes."""
    assert read(b"data: x\r\r") == [Message("x", "message", "")]


def test_a_message_without_its_empty_line_is_not_delivered() -> None:
    """What a broken connection leaves unfinished is dropped: the server sends it again after a resume."""
    assert read(b"data: half\n") == []


def test_an_id_is_kept_from_the_previous_connection() -> None:
    """A message before the first id of a connection carries the id that the previous one ended with."""
    stream = EventStream(last_id="41")
    assert list(stream.feed(b"data: x\n\n")) == [Message("x", "message", "41")]


def test_retry_sets_the_pause_and_nonsense_does_not() -> None:
    """Only digits are a time to wait before the next connection."""
    stream = EventStream()
    assert list(stream.feed(b"retry: 250\nretry: soon\nretry: -1\n\n")) == []
    assert stream.retry_seconds == 0.25


@pytest.mark.parametrize(
    "chunks",
    [[b"x" * (MAX_EVENT_SIZE + 1)], [b"data:" + b"x" * (MAX_EVENT_SIZE - 10) + b"\n", b"data:" + b"x" * 11 + b"\n"]],
    ids=["line", "message"],
)
def test_a_message_without_end_is_given_up(chunks: list[bytes]) -> None:
    """Neither a line nor a message may grow without bound in the reader's memory."""
    with pytest.raises(EventTooLarge):
        read(*chunks)
