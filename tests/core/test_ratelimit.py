"""Response rate limiting: who shares a limit with whom, what becomes of answers over it, and who has none."""

from __future__ import annotations

from collections import Counter

import pytest

from dnsd.core.cookies import CookieJar
from dnsd.core.engine import Engine
from dnsd.core.policy import AnswerPolicy
from dnsd.core.ratelimit import KNOWN_CLIENTS, OFFENDERS, Limiter, RateLimit, Verdict
from dnsd.core.via import TCP, UDP, Transport, Via
from tests.support.dnsmessages import NOW, decode, engine_of, query, shown, zone_of
from tests.support.options import COOKIE, packet

ZONE = zone_of(
    """
    www     A     192.0.2.1
    mail    A     192.0.2.2
    *.wild  TXT   "any"
    *.alias CNAME www
    *.away  CNAME www.example.net.
    tree    DNAME www.example.net.
    one     NS    ns.example.net.
    two     NS    ns.example.net.
    """
)
OTHER_ZONE = zone_of("www A 192.0.2.1", apex="example.com.")

SECRET, CLIENT = bytes(range(16)), bytes(range(8))

PER_SECOND = 5
LIMIT = RateLimit(responses_per_second=PER_SECOND, window_seconds=1.0)


def limited(limit: RateLimit = LIMIT) -> Engine:
    """Return an engine with a limiter."""
    engine = engine_of(ZONE, OTHER_ZONE, overlay={"*.pool.example.org.": ["192.0.2.9"], "empty.example.org.": []})
    engine.limiter = Limiter(limit)
    return engine


def answers(engine: Engine, *questions: str, peer: str = "192.0.2.1", via: Via = UDP, now: float = NOW) -> list[str]:
    """Ask at once; return what came of each: its RCODE and flags, or silence."""
    said = []
    for question in questions:
        response = engine.respond(query(question), now=now, via=via, peer=peer)
        said.append("silence" if response is None else shown(decode(response)).partition("\n")[0])
    return said


def served(engine: Engine, *questions: str, peer: str = "192.0.2.1", via: Via = UDP) -> int:
    """Ask at once; return how many got a whole answer."""
    said = answers(engine, *questions, peer=peer, via=via)
    return sum(each != "silence" and " tc" not in each for each in said)


# --- what is counted together ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "questions",
    [
        ["www.example.org. A"],
        ["www.example.org. A", "WWW.example.org. A", "wWw.Example.ORG. A"],
        [f"{number}.wild.example.org. TXT" for number in range(40)],
        [f"{number}.alias.example.org. A" for number in range(40)],
        [f"{number}.away.example.org. A" for number in range(40)],
        [f"{number}.tree.example.org. A" for number in range(40)],
        [f"{number}.pool.example.org. A" for number in range(40)],
        [f"{number}.one.example.org. A" for number in range(40)],
        [f"{number}.example.org. A" for number in range(40)],
        ["www.example.org. TXT", "mail.example.org. TXT", "empty.example.org. A", "1.wild.example.org. A"],
    ],
    ids=["name", "case", "wildcard", "alias", "alias away", "dname", "pool", "delegation", "nxdomain", "nodata"],
)
def test_answers_alike_share_a_limit(questions: list[str]) -> None:
    """One name in any spelling, what one wildcard makes, one delegation, and what a zone lacks: each is one account."""
    assert served(limited(), *(questions * 40)[:40]) == PER_SECOND


def test_errors_share_a_limit() -> None:
    """Whatever is asked, errors of all kinds are one account, queries that cannot be read included."""
    engine = limited(RateLimit(responses_per_second=PER_SECOND, window_seconds=1.0, slip=0))
    bad = [query(question) for question in ("a.example.net. A", "www.example.org. AXFR", "www.example.org. MAILA")]
    bad.append(query("www.example.org. A")[:-1])
    said = [engine.respond(packet, now=NOW, via=UDP, peer="192.0.2.1") for packet in bad * 5]
    assert [each is not None for each in said] == [True] * PER_SECOND + [False] * (len(said) - PER_SECOND)


@pytest.mark.parametrize(
    "other",
    [
        "mail.example.org. A",
        "1.wild.example.org. TXT",
        "a.two.example.org. A",
        "no.example.org. A",
        "www.example.org. TXT",
        "no.example.com. A",
        "a.example.net. A",
    ],
)
def test_other_answers_have_their_own(other: str) -> None:
    """A network that is over the limit with one answer gets the others."""
    engine = limited(RateLimit(responses_per_second=PER_SECOND, window_seconds=1.0, slip=0))
    served(engine, *["a.one.example.org. A"] * 20)
    assert served(engine, *[other] * 20) == PER_SECOND
    assert served(engine, "a.one.example.org. A") == 0


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("192.0.2.1", "192.0.2.255", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8::1", "2001:db8:0:ff:1::1", True),
        ("2001:db8::1", "2001:db8:0:100::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("0.0.2.1", "::2:1", False),
        ("", "not an address", True),
    ],
)
def test_a_network_is_a_prefix(one: str, other: str, shared: bool) -> None:
    """A /24 of IPv4 and a /56 of IPv6 have one account; the two families never meet."""
    engine = limited()
    assert served(engine, *["www.example.org. A"] * 20, peer=one) == PER_SECOND
    assert served(engine, *["www.example.org. A"] * 20, peer=other) == (0 if shared else PER_SECOND)


def test_prefixes_can_be_of_other_lengths() -> None:
    """With /32 and /128 each address has its own account."""
    engine = limited(RateLimit(responses_per_second=1, window_seconds=1, ipv4_prefix=32, ipv6_prefix=128))
    peers = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2")
    assert [served(engine, *["www.example.org. A"] * 3, peer=peer) for peer in peers] == [1, 1, 1, 1]


def test_a_network_can_have_a_limit_for_all_together() -> None:
    """With a total, asking for many names gets no more than it, and each name no more than its own limit."""
    engine = limited(RateLimit(responses_per_second=PER_SECOND, total_per_second=8, window_seconds=1))
    names = ["www.example.org. A", "mail.example.org. A", "1.wild.example.org. TXT"] * 10
    assert served(engine, *names) == 8
    assert served(engine, *["www.example.org. A"] * 10, peer="198.51.100.1") == PER_SECOND


def test_the_limit_is_a_rate() -> None:
    """Second after second a flood gets as many answers as the limit says."""
    engine = limited()
    served(engine, *["www.example.org. A"] * 20)
    for second in range(1, 4):
        said = answers(engine, *["www.example.org. A"] * 20, now=NOW + second)
        assert said.count("NOERROR aa") == PER_SECOND


# --- what becomes of answers over the limit -------------------------------------------------------------------------


@pytest.mark.parametrize(("slip", "slipped"), [(0, 0), (1, 20), (2, 10), (5, 4)])
def test_one_in_so_many_slips(slip: int, slipped: int) -> None:
    """Of the answers over the limit, so many are truncated and the others not sent; both are counted."""
    engine = limited(RateLimit(responses_per_second=PER_SECOND, window_seconds=1, slip=slip))
    said = Counter(answers(engine, *["www.example.org. A"] * (PER_SECOND + 20)))
    assert said == Counter({"NOERROR aa": PER_SECOND, "NOERROR aa tc": slipped, "silence": 20 - slipped})
    counted = {"slipped": slipped, "dropped": 20 - slipped}
    assert engine.events == Counter({("rate_limited", key): count for key, count in counted.items() if count})
    assert sum(engine.counts[Transport.UDP]) == PER_SECOND + slipped
    assert engine.dropped == 0


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("www.example.org. A", "NOERROR aa tc"),
        ("no.example.org. A", "NXDOMAIN aa tc"),
        ("www.example.org. TXT", "NOERROR aa tc"),
        ("a.one.example.org. A", "NOERROR tc"),
        ("a.example.net. A", "REFUSED"),
    ],
)
def test_what_slips_is_no_larger_than_the_query(question: str, expected: str) -> None:
    """It has no records, and TC where there were any; an error is small enough as it is."""
    engine = limited(RateLimit(responses_per_second=1, window_seconds=1, slip=1))
    packet = query(question, edns=0)
    engine.respond(packet, now=NOW, via=UDP, peer="192.0.2.1")
    response = engine.respond(packet, now=NOW, via=UDP, peer="192.0.2.1")
    assert response is not None
    assert shown(decode(response)) == expected
    assert len(response) <= len(packet)


def test_a_query_that_cannot_be_read_slips_as_an_error() -> None:
    """FORMERR over the limit: one in two is sent as it is."""
    engine = limited(RateLimit(responses_per_second=1, window_seconds=1))
    packet = query("www.example.org. A")[:-1]
    said = [engine.respond(packet, now=NOW, via=UDP, peer="192.0.2.1") is not None for _ in range(5)]
    assert said == [True, False, True, False, True]


# --- who has no limit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS, Transport.HTTPS])
def test_streams_have_no_limit(transport: Transport) -> None:
    """Whoever has opened a connection is at its address."""
    engine = limited()
    assert served(engine, *["www.example.org. A"] * 20, via=Via(transport)) == 20
    assert not engine.events


@pytest.mark.parametrize("peer", ["10.1.2.3", "10.255.255.255", "192.0.2.7", "2001:db8::7", "172.16.0.1", "172.16.1.1"])
def test_networks_that_are_allowed_have_no_limit(peer: str) -> None:
    """Networks and single addresses of both families; those that overlap or touch as well."""
    allow = ("10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "2001:db8::/64", "172.16.0.0/24", "172.16.1.0/24")
    engine = limited(RateLimit(responses_per_second=1, window_seconds=1, allow=allow))
    assert served(engine, *["www.example.org. A"] * 20, peer=peer) == 20


@pytest.mark.parametrize(
    "peer", ["9.255.255.255", "11.0.0.0", "192.0.2.8", "2001:db8:0:1::", "::10.0.0.1", "172.16.2.0"]
)
def test_neighbours_of_allowed_networks_have_one(peer: str) -> None:
    """Addresses just outside, and IPv6 ones of the same number, are limited."""
    allow = ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/64", "172.16.0.0/24", "172.16.1.0/24")
    engine = limited(RateLimit(responses_per_second=1, window_seconds=1, allow=allow))
    assert served(engine, *["www.example.org. A"] * 20, peer=peer) == 1


@pytest.mark.parametrize(("half", "expected"), [(False, 20), (True, 1)], ids=["whole", "the client's half"])
def test_a_client_with_a_valid_cookie_has_no_limit(half: bool, expected: int) -> None:
    """Our half of the cookie shows that the client is at its address; its own half shows nothing."""
    engine = limited(RateLimit(responses_per_second=1, window_seconds=1, slip=0))
    engine.configure(AnswerPolicy(cookie_secrets=(SECRET,)))
    cookie = CLIENT if half else CookieJar((SECRET,)).judge(CLIENT, peer="192.0.2.1", now=NOW)[1]
    asked = packet("www.example.org. A", [(COOKIE, cookie)])
    responses = [engine.respond(asked, now=NOW, via=UDP, peer="192.0.2.1") for _ in range(20)]
    assert sum(response is not None for response in responses) == expected


def test_nobody_unknown_gets_what_was_not_asked_for() -> None:
    """While limits are looked at: over UDP without a cookie, the answer itself, without further records or errors."""
    zone = zone_of("@ MX 10 mail\nmail A 192.0.2.2\nsub NS ns.sub\nns.sub A 192.0.2.3")
    engine = engine_of(zone)
    engine.configure(AnswerPolicy(cookie_secrets=(SECRET,)))
    whole = CookieJar((SECRET,)).judge(CLIENT, peer="192.0.2.1", now=NOW)[1]

    def additional(question: str, via: Via = UDP, *, known: bool = False) -> int:
        asked = packet(question, [(COOKIE, whole)]) if known else query(question, edns=0)
        response = engine.respond(asked, now=NOW, via=via, peer="192.0.2.1")
        assert response is not None
        return len(decode(response).additional)

    assert additional("example.org. MX") == 1
    engine.limiter = Limiter(RateLimit(responses_per_second=1000, window_seconds=1))
    assert additional("example.org. MX") == 0
    assert additional("example.org. MX", TCP) == additional("example.org. MX", known=True) == 1
    assert additional("www.sub.example.org. A") == 1  # glue is what a referral is for
    refused = engine.respond(query("www.example.net. A", edns=0), now=NOW, via=UDP, peer="192.0.2.1")
    assert refused is not None
    assert decode(refused).options == ()


def test_without_a_limiter_nobody_has_one() -> None:
    """The policy alone limits nobody: whoever watches the traffic decides when."""
    engine = engine_of(ZONE)
    engine.configure(AnswerPolicy(rate_limit=RateLimit(responses_per_second=1, window_seconds=1)))
    assert served(engine, *["www.example.org. A"] * 20) == 20


# --- memory, and what is told ---------------------------------------------------------------------------------------


def test_what_it_remembers_of_clients_is_bounded() -> None:
    """However many clients there are, it remembers few, and forgetting changes nothing."""
    limiter = Limiter(LIMIT)
    for number in range(3 * KNOWN_CLIENTS):
        peer = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        limiter.judge(None, peer=peer, now=NOW)
        assert len(limiter._known) <= KNOWN_CLIENTS
    assert limiter.judge(None, peer="10.0.0.1", now=NOW) is not Verdict.SEND


@pytest.mark.parametrize(
    ("peer", "network"), [("192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2ff::1", "2001:db8:1:200::/56")]
)
def test_the_busiest_network_is_named(peer: str, network: str) -> None:
    """Among many with less, the one with most answers over the limit; with the next call counting begins anew."""
    limiter = Limiter(RateLimit(responses_per_second=1, window_seconds=1))
    for number in range(10 * OFFENDERS):
        for each in (f"10.{number >> 8}.{number & 255}.1", peer):
            limiter.judge(None, peer=each, now=NOW)
            limiter.judge(None, peer=each, now=NOW)
        assert len(limiter._offenders) <= OFFENDERS
    assert limiter.busiest() == network
    assert limiter.busiest() == ""


def test_workers_share_the_figures_of_the_server() -> None:
    """Rates are divided by the number of workers; what is no rate stays."""
    limit = RateLimit(responses_per_second=200, total_per_second=1000, starts_at=500, slip=3)
    share = RateLimit(responses_per_second=50, total_per_second=250, starts_at=125, slip=3)
    assert limit.shared_by(4) == share
    assert limit.shared_by(1) == limit


def test_a_small_share_still_gives_an_answer() -> None:
    """A limit of less than one answer in a window gives one at a time."""
    engine = limited(RateLimit(responses_per_second=2, window_seconds=1).shared_by(64))
    assert served(engine, *["www.example.org. A"] * 5) == 1
    assert answers(engine, "www.example.org. A", now=NOW + 33) == ["NOERROR aa"]
