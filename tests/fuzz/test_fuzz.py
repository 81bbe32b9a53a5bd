"""Packets of every kind against what must hold of all: those that were kept, new ones, and those that are most work."""

from __future__ import annotations

import struct
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.core.constants import MAX_MESSAGE_SIZE, OPT, TSIG
from dnsd.core.via import TCP
from tests.fuzz.checking import Checker
from tests.fuzz.corpus import FAULT, MOST_BYTES, MOST_FILES, name_of, packets, traced
from tests.fuzz.strategies import mutants, queries
from tests.support.dnsmessages import NOW, PEER

CORPUS = packets()
CHECKER = Checker()

# What an engine may do for a packet. Unit: lines of the core; first for any packet, then for each of its bytes.
MOST_LINES, MOST_LINES_PER_BYTE = 2_000, 5

QUESTION = b"\x04edge\x07example\x03org\x00\x00\x01\x00\x01"


def header(*counts: int) -> bytes:
    return struct.pack("!6H", 7, 0, *counts)


def filled(head: bytes, part: bytes, tail: bytes = b"") -> bytes:
    """Return a message of the largest size, full of the same."""
    return head + part * ((MAX_MESSAGE_SIZE - len(head) - len(tail)) // len(part)) + tail


def opt(options: bytes) -> bytes:
    return b"\0" + struct.pack("!HHIH", OPT, 1232, 0, len(options)) + options


EMPTY_RECORD = b"\0" + struct.pack("!HHIH", 1, 1, 0, 0)
ROOM_FOR_OPTIONS = MAX_MESSAGE_SIZE - len(header(0, 0, 0, 0) + QUESTION + opt(b""))
# Offset of the data of a first record behind the question, and there pointers, each to the one before it, and the first
# to the question.
DATA = len(header(0, 0, 0, 0) + QUESTION + EMPTY_RECORD)
PLACES = range(DATA, 0x3FF0, 2)
POINTERS = b"".join(struct.pack("!H", 0xC000 | (12 if place == DATA else place - 2)) for place in PLACES)
UNSIGNED = b"\0" + bytes(16)  # the data of a TSIG: a name, and fields that say nothing

# Each makes the core walk as far as a message can be long.
LABORIOUS = {
    "questions": filled(header(0xFFFF, 0, 0, 0), b"\0\0\1\0\1"),
    "records": filled(header(1, 0, 0, 0xFFFF) + QUESTION, EMPTY_RECORD),
    "records of an authority section": filled(header(1, 0, 0xFFFF, 0) + QUESTION[:-4] + b"\0\xfb\0\1", EMPTY_RECORD),
    "options": header(1, 0, 0, 1) + QUESTION + opt(bytes.fromhex("fff00000") * (ROOM_FOR_OPTIONS // 4)),
    "options that all differ": header(1, 0, 0, 1)
    + QUESTION
    + opt(b"".join(struct.pack("!HH", code + 100, 0) for code in range(ROOM_FOR_OPTIONS // 4))),
    "cookies": header(1, 0, 0, 1) + QUESTION + opt(b"\0\x0a\0\x0812345678" * (ROOM_FOR_OPTIONS // 12)),
    "labels": filled(header(1, 0, 0, 0), b"\1a", b"\0\0\1\0\1"),
    "labels of an owner": filled(header(1, 0, 0, 1) + QUESTION, b"\1a", EMPTY_RECORD),
    "a key at the end of a chain of pointers": header(1, 0, 0, 2)
    + QUESTION
    + b"\0"
    + struct.pack("!HHIH", 10, 1, 0, len(POINTERS))
    + POINTERS
    + struct.pack("!HHHIH", 0xC000 | PLACES[-1], TSIG, 255, 0, len(UNSIGNED))
    + UNSIGNED,
}


@pytest.mark.parametrize("name", CORPUS)
def test_a_packet_that_was_kept_is_answered_as_any_other(name: str) -> None:
    """Each file of the corpus keeps to everything, within the work that a packet may take."""
    packet = CORPUS[name]
    assert name == name_of(packet) or name.startswith(FAULT)
    CHECKER.check(packet)
    for way in CHECKER.ways:
        _, _, lines = traced(partial(way.engine.respond, packet, now=NOW, via=way.via, peer=PEER))
        assert lines <= MOST_LINES + MOST_LINES_PER_BYTE * len(packet)


def test_the_corpus_is_small() -> None:
    """It is a few hundred small files at most."""
    assert 0 < len(CORPUS) <= MOST_FILES
    assert sum(map(len, CORPUS.values())) <= MOST_BYTES


@pytest.mark.parametrize("name", LABORIOUS)
def test_work_grows_with_the_packet_and_no_faster(name: str) -> None:
    """What is as long as a message can be, and walked through to its end, costs some lines for each byte."""
    packet = LABORIOUS[name]
    assert len(packet) <= MAX_MESSAGE_SIZE
    CHECKER.check(packet)
    for way in CHECKER.ways:
        _, _, lines = traced(partial(way.engine.respond, packet, now=NOW, via=TCP, peer=PEER))
        assert lines <= MOST_LINES + MOST_LINES_PER_BYTE * len(packet)


@settings(max_examples=2500, deadline=None)
@given(packet=queries())
def test_any_query_is_answered_as_it_must_be(packet: bytes) -> None:
    """Whatever stands in a message, and however its lengths and counts lie, all holds that must hold."""
    CHECKER.check(packet)


@settings(max_examples=2500, deadline=None)
@given(packet=mutants())
def test_what_differs_little_from_the_corpus_is_answered_as_it_must_be(packet: bytes) -> None:
    """So it is with packets that are nearly ones which are known to lead somewhere."""
    CHECKER.check(packet)


@settings(max_examples=500, deadline=None)
@given(packet=st.binary(max_size=600))
def test_any_bytes_are_met_as_they_must_be(packet: bytes) -> None:
    """And with bytes that are nothing at all."""
    CHECKER.check(packet)
