"""What the server says of itself in class CH (RFC 4892), and that it says nothing unless told to."""

from __future__ import annotations

import pytest

from dnsd.core.engine import Engine
from dnsd.core.policy import AnswerPolicy
from dnsd.core.via import UDP
from tests.support.dnsmessages import NOW, PEER, snapshot_of, zone_of
from tests.support.options import ask, packet

NAMES = ["version.bind.", "version.server.", "id.server.", "hostname.bind."]
ZONE = zone_of("id.server TXT x")


def engine_by(policy: AnswerPolicy) -> Engine:
    return Engine(snapshot_of(ZONE), policy=policy)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_told_by_default(name: str) -> None:
    """A server that was not told to say who it is refuses, as for any name of another class."""
    assert ask(engine_by(AnswerPolicy(nsid="ns1")), f"{name} CH TXT").text == "REFUSED"


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("version.bind. CH TXT", 'NOERROR aa\nanswer:\n  version.bind. 0 TXT "dnsd ä"'),
        ("VERSION.Server. CH TXT", 'NOERROR aa\nanswer:\n  VERSION.Server. 0 TXT "dnsd ä"'),
        ("id.server. CH TXT", 'NOERROR aa\nanswer:\n  id.server. 0 TXT "ns1"'),
        ("hostname.bind. CH ANY", 'NOERROR aa\nanswer:\n  hostname.bind. 0 TXT "ns1"'),
        ("id.server. CH A", "NOERROR aa"),
        ("authors.bind. CH TXT", "REFUSED"),
        ("a.id.server. CH TXT", "REFUSED"),
        ("id.server. IN TXT", "REFUSED"),
        ("id.server. HS TXT", "REFUSED"),
        ("id.server. ANY TXT", "REFUSED"),
        ("id.server.example.org. CH TXT", "REFUSED"),
    ],
)
def test_what_is_told_is_told_in_class_chaos(question: str, text: str) -> None:
    """RFC 4892 §2: a TXT record with a TTL of 0; another type is NODATA, another name or class REFUSED."""
    engine = engine_by(AnswerPolicy(version_text="dnsd ä", id_text="ns1"))
    assert ask(engine, question).text.replace("\\195\\164", "ä") == text


def test_the_record_is_of_class_chaos() -> None:
    """Behind the question there is a pointer to it, TXT, CH, TTL 0, and the text with its length."""
    sent = packet("id.server. CH TXT")
    wire = engine_by(AnswerPolicy(id_text="ns1")).respond(sent, now=NOW, via=UDP, peer=PEER)
    assert wire is not None
    question_end = 12 + 11 + 4
    assert wire[12:question_end] == sent[12:question_end]
    assert wire[question_end:].startswith(b"\xc0\x0c\x00\x10\x00\x03\x00\x00\x00\x00\x00\x04\x03ns1")


def test_one_may_be_told_without_the_other() -> None:
    """Version and id are configured apart."""
    engine = engine_by(AnswerPolicy(version_text="dnsd"))
    assert ask(engine, "version.bind. CH TXT").text.startswith("NOERROR")
    assert ask(engine, "id.server. CH TXT").text == "REFUSED"
