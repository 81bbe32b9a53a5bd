"""No answer over UDP is larger than its client takes, or than a packet may be that nobody has to cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dnsd.core.engine import Engine
from dnsd.core.policy import AnswerPolicy
from dnsd.core.ratelimit import Limiter, RateLimit
from dnsd.core.via import UDP
from tests.support.dnsmessages import NOW, PEER, decode, engine_of, query, zone_of
from tests.support.options import COOKIE, NSID, PADDING, packet

LINES = [
    f"text{size}x{count} TXT " + " ".join(['"' + "x" * size + '"'] * count)
    for size in (1, 90, 200, 255)
    for count in (1, 3, 5, 9)
]
LINES += [f"many A 192.0.2.{number}" for number in range(1, 101)]
LINES += [f"hosts NS ns{number}.hosts\nns{number}.hosts AAAA 2001:db8::{number}" for number in range(1, 31)]
LINES += [f"mail MX {number} mx{number}\nmx{number} AAAA 2001:db8::{number}" for number in range(1, 31)]
ZONE = zone_of("\n".join(LINES))
NAMES = [line.split()[0] for line in LINES if "TXT" in line] + ["many", "hosts", "a.hosts", "mail", "no", "mx1"]
POLICY = AnswerPolicy(nsid="n" * 128, cookies=True, cookie_secrets=(bytes(16),))

LARGEST = 1232

QUESTIONS = st.builds(
    "{}.{} {}".format,
    st.sampled_from(NAMES),
    st.sampled_from(["example.org.", "example.com."]),
    st.sampled_from(["TXT", "A", "MX", "NS", "ANY", "AXFR", "MAILA"]),
)
OPTIONS = st.lists(
    st.sampled_from([(NSID, b""), (COOKIE, b"12345678"), (COOKIE, bytes(24)), (PADDING, bytes(100)), (99, b"x")]),
    max_size=4,
    unique_by=lambda option: option[0],
)


def _size(engine: Engine, asked: bytes) -> int:
    response = engine.respond(asked, now=NOW, via=UDP, peer=PEER)
    assert response is not None
    decode(response)
    return len(response)


def _engine() -> Engine:
    engine = engine_of(ZONE)
    engine.configure(POLICY)
    return engine


@given(question=QUESTIONS, options=OPTIONS, offered=st.integers(0, 65_535))
def test_an_answer_is_no_larger_than_the_client_offers(
    question: str, options: list[tuple[int, bytes]], offered: int
) -> None:
    """Whatever is asked, with whichever options: at most what the client takes, never below 512 nor above 1232."""
    size = _size(_engine(), packet(question, options, udp_size=offered))
    assert size <= min(max(512, offered), LARGEST)


@given(question=QUESTIONS)
def test_without_edns_an_answer_has_512_bytes_at_most(question: str) -> None:
    """RFC 1035 §4.2.1."""
    assert _size(_engine(), query(question)) <= 512


@given(question=QUESTIONS, offered=st.sampled_from([512, 1232, 4096]))
def test_over_the_limit_nothing_is_larger_than_its_query(question: str, offered: int) -> None:
    """What slips is no use to those who multiply."""
    engine = engine_of(ZONE)
    engine.limiter = Limiter(RateLimit(responses_per_second=0.001, window_seconds=1, slip=1))
    asked = packet(question, udp_size=offered)
    engine.respond(asked, now=NOW, via=UDP, peer=PEER)
    assert _size(engine, asked) <= len(asked)
