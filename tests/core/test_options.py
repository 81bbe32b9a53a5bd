"""EDNS options: what a query's ask for, and what the response says in turn."""

from __future__ import annotations

import struct
from dataclasses import replace

import dns.edns
import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import pytest
from dnslib import DNSRecord

from dnsd.core.constants import TXT
from dnsd.core.cookies import CookieJar
from dnsd.core.engine import Engine
from dnsd.core.policy import AnswerPolicy
from dnsd.core.records import RRset
from dnsd.core.via import UDP, Transport, Via
from tests.support.broken import Broken
from tests.support.dnsmessages import NOW, PEER, query, snapshot_of, zone_of
from tests.support.options import (
    COOKIE,
    HTTPS,
    KEEPALIVE,
    NSID,
    PADDING,
    TCP,
    TLS,
    Option,
    ask,
    packet,
    read,
    reply,
)

SECRET = bytes(range(16))
POLICY = AnswerPolicy(nsid="ns1", cookies=True, cookie_secrets=(SECRET,))
ZONE = zone_of(
    f"""
    www  A   192.0.2.1
    long TXT "{"x" * 200}"
    """
)
ANSWER = "NOERROR aa\nanswer:\n  www.example.org. 300 A 192.0.2.1"
TRUNCATED = "NOERROR aa tc"

CLIENT = bytes.fromhex("2464c4abcf10c957")
VALID = CookieJar([SECRET]).judge(CLIENT, peer=PEER, now=NOW)[1]
BAD = VALID[:-1] + bytes([VALID[-1] ^ 1])


def engine_by(policy: AnswerPolicy = POLICY) -> Engine:
    def fail(failure: Exception) -> None:
        raise failure

    return Engine(snapshot_of(ZONE), policy=policy, on_failure=fail)


def told(*options: Option, via: Via = UDP, policy: AnswerPolicy = POLICY) -> list[str] | None:
    """Ask for an address; return the options of the answer, which must be the usual one."""
    got = ask(engine_by(policy), "www.example.org. A", *options, via=via)
    assert got.text == ANSWER
    return got.options


# --- what is understood, and what is not ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], []),
        ([(NSID, b"")], ["NSID ns1"]),
        ([(NSID, b"ignored")], ["NSID ns1"]),
        ([(NSID, b""), (NSID, b"")], ["NSID ns1"]),
        ([(8, bytes.fromhex("0001180000c00002"))], []),
        ([(9, b"")], []),
        ([(65001, b"x" * 300), (NSID, b""), (65535, b"")], ["NSID ns1"]),
        ([(COOKIE, VALID), (NSID, b"")], ["NSID ns1", f"COOKIE {VALID.hex()}"]),
        ([(KEEPALIVE, b"")], []),
        ([(KEEPALIVE, b"\x00\x10")], []),
        ([(PADDING, bytes(50))], []),
    ],
    ids=[
        "none",
        "NSID",
        "NSID with data (RFC 5001 §2.1)",
        "NSID twice",
        "client subnet (RFC 7871), not understood",
        "EXPIRE (RFC 7314), not understood",
        "unknown ones around one",
        "two",
        "keepalive over UDP (RFC 7828 §3.3.1)",
        "a malformed one over UDP",
        "padding in the open (RFC 7830 §6)",
    ],
)
def test_options_over_udp(options: list[Option], expected: list[str]) -> None:
    """RFC 6891 §6.1.2: those that are not understood are ignored; the answer is the usual one."""
    assert told(*options) == expected


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        (TCP, ["KEEPALIVE 100"]),
        (TLS, ["KEEPALIVE 100"]),
        (Via(Transport.TCP, idle_seconds=0.25), ["KEEPALIVE 2"]),
        (Via(Transport.TCP, idle_seconds=7200.0), ["KEEPALIVE 65535"]),
        (Via(Transport.TCP), []),
        (HTTPS, []),
    ],
)
def test_keepalive_tells_how_long_a_connection_may_be_idle(via: Via, expected: list[str]) -> None:
    """RFC 7828 §3.1, §3.3.2: in units of 100 ms, where there is a connection that the client may keep."""
    assert told((KEEPALIVE, b""), via=via) == expected


def test_nsid_and_cookies_can_be_off() -> None:
    """RFC 5001 §2.3, RFC 7873 §5.2.1: a server that has neither ignores both, malformed cookies included."""
    policy = AnswerPolicy()
    assert told((NSID, b""), (COOKIE, CLIENT), (COOKIE, b""), policy=policy) == []
    engine = engine_by(policy)
    ask(engine, "www.example.org. A", (COOKIE, CLIENT))
    assert not engine.events


def test_a_policy_takes_effect_with_the_next_query() -> None:
    """NSID and secrets are those of the policy that came last."""
    engine = engine_by(AnswerPolicy())
    assert ask(engine, "www.example.org. A", (NSID, b""), (COOKIE, VALID)).options == []
    engine.configure(POLICY)
    said = ["NSID ns1", f"COOKIE {VALID.hex()}"]
    assert ask(engine, "www.example.org. A", (NSID, b""), (COOKIE, VALID)).options == said


@pytest.mark.parametrize(
    ("options", "via"),
    [
        ([(COOKIE, b"")], UDP),
        ([(COOKIE, CLIENT[:7])], UDP),
        ([(COOKIE, VALID[:15])], TCP),
        ([(COOKIE, bytes(41))], UDP),
        ([(KEEPALIVE, b"\x00\x10")], TCP),
        ([(KEEPALIVE, b"\x00")], TLS),
        ([(NSID, b""), (COOKIE, b"")], UDP),
    ],
)
def test_a_malformed_option_is_formerr(options: list[Option], via: Via) -> None:
    """RFC 7873 §5.2.2, RFC 7828 §3.2.1: FORMERR with question and OPT, and no option in it."""
    engine = engine_by()
    got = ask(engine, "www.example.org. A", *options, via=via)
    assert (got.text, got.options) == ("FORMERR", [])
    assert got.wire[4:12] == b"\x00\x01\x00\x00\x00\x00\x00\x01"
    assert engine.counts[via.transport][1] == 1
    assert not engine.events


def test_a_later_version_is_badvers_whatever_its_options_are() -> None:
    """RFC 6891 §6.1.3: only who knows that version knows them."""
    got = reply(engine_by(), packet("www.example.org. A", [(COOKIE, b""), (NSID, b"")], version=1))
    assert (got.text, got.options) == ("BADVERS", [])


# --- cookies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "result", "same"),
    [
        ([(COOKIE, CLIENT)], "client", True),
        ([(COOKIE, VALID)], "valid", True),
        ([(COOKIE, BAD)], "bad", True),
        ([(COOKIE, VALID), (COOKIE, BAD), (COOKIE, b"")], "valid", True),
        ([(COOKIE, CLIENT[::-1]), (COOKIE, VALID)], "client", False),
    ],
)
@pytest.mark.parametrize("via", [UDP, TCP, TLS, HTTPS])
def test_a_cookie_is_answered_and_counted(options: list[Option], result: str, same: bool, via: Via) -> None:
    """RFC 7873 §5.2: every request is answered, with the cookie that is good now; the first of several counts."""
    engine = engine_by()
    got = ask(engine, "www.example.org. A", *options, via=via)
    assert got.text == ANSWER
    assert (got.cookie == VALID) is same
    assert engine.events == {("cookies", result): 1}


def test_servers_with_one_secret_accept_each_others_cookies() -> None:
    """RFC 9018 §3: two engines that sign with different secrets of the same file take both's."""
    other = bytes(16)
    one, two = (engine_by(replace(POLICY, cookie_secrets=each)) for each in ((SECRET, other), (other, SECRET)))
    for first, second in ((one, two), (two, one)):
        made = ask(first, "www.example.org. A", (COOKIE, CLIENT)).cookie
        ask(second, "www.example.org. A", (COOKIE, made))
        assert second.events["cookies", "valid"] == 1
        assert second.events["cookies", "bad"] == 0


ERRORS = {
    "REFUSED": packet("www.example.com. A", [(COOKIE, VALID)]),
    "NXDOMAIN aa": packet("no.example.org. A", [(COOKIE, VALID)]),
    "NOTAUTH": packet("www.example.org. AXFR", [(COOKIE, VALID)]),
    "NOTIMP": packet("www.example.org. MAILA", [(COOKIE, VALID)]),
    "FORMERR": packet("www.example.org. OPT", [(COOKIE, VALID)]),
    "NOTIMP, another opcode": b"\x12\x34\x20\x00" + packet("www.example.org. A", [(COOKIE, VALID)])[4:],
    "FORMERR, bytes behind": packet("www.example.org. A", [(COOKIE, VALID)]) + b"\x00",
}


@pytest.mark.parametrize(("name", "sent"), ERRORS.items(), ids=ERRORS)
def test_errors_have_the_cookie_too(name: str, sent: bytes) -> None:
    """RFC 7873 §5.3: a client that expects a cookie may discard a response without it."""
    got = reply(engine_by(), sent)
    assert got.text.splitlines()[0] == name.partition(",")[0]
    assert got.cookie == VALID


def test_a_fault_of_ours_has_the_cookie_and_is_padded_too() -> None:
    """SERVFAIL for an exception says what any response would."""
    zone = zone_of("bad A 192.0.2.2")
    zone.nodes[b"\x03bad" + zone.apex].rrsets = {1: Broken()}
    engine = Engine(snapshot_of(zone), policy=POLICY)
    got = ask(engine, "bad.example.org. A", (COOKIE, VALID), (PADDING, b""), via=TLS)
    assert got.text == "SERVFAIL"
    assert got.cookie == VALID
    assert len(got.wire) == 468
    assert engine.events == {("cookies", "valid"): 1}


@pytest.mark.parametrize(
    ("options", "via", "rcode"),
    [
        ([], UDP, None),
        ([(COOKIE, VALID)], UDP, None),
        ([(COOKIE, CLIENT)], UDP, "BADCOOKIE"),
        ([(COOKIE, BAD)], UDP, "BADCOOKIE"),
        ([(NSID, b""), (COOKIE, BAD)], UDP, "BADCOOKIE"),
        ([(COOKIE, CLIENT)], TCP, None),
        ([(COOKIE, BAD)], TLS, None),
        ([(COOKIE, b"")], UDP, "FORMERR"),
    ],
)
def test_a_cookie_may_be_required(options: list[Option], via: Via, rcode: str | None) -> None:
    """RFC 7873 §5.2.3, §5.2.4: over UDP, of clients that can have one; BADCOOKIE tells it to them."""
    engine = engine_by(replace(POLICY, require_cookies=True))
    got = ask(engine, "www.example.org. A", *options, via=via)
    assert got.text == (rcode or ANSWER)
    if rcode == "BADCOOKIE":
        assert got.cookie == VALID
        assert engine.counts[Transport.UDP][23] == 1
        assert ask(engine, "www.example.org. A", (COOKIE, got.cookie)).text == ANSWER


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([(COOKIE, CLIENT)], "NOERROR"),
        ([(COOKIE, VALID)], "NOERROR"),
        ([(COOKIE, BAD)], "BADCOOKIE"),
        ([(COOKIE, b"")], "FORMERR"),
        ([(NSID, b"")], "FORMERR"),
        ([], "FORMERR"),
    ],
)
def test_a_query_without_a_question_asks_for_a_cookie(options: list[Option], expected: str) -> None:
    """RFC 7873 §5.4: NOERROR or BADCOOKIE with the cookie, no question and no record; without one it is FORMERR."""
    got = reply(engine_by(), packet("", options))
    assert got.text == expected
    assert got.wire[4:12] == b"\x00\x00\x00\x00\x00\x00\x00\x01"
    if expected != "FORMERR":
        assert got.cookie == VALID


BARE = packet("", [(COOKIE, VALID)])
A_RECORD = b"\x00\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\xc0\x00\x02\x01"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (BARE + b"\x00", "FORMERR"),
        (BARE[:6] + b"\x00\x01" + BARE[8:12] + A_RECORD + BARE[12:], "FORMERR"),
        (BARE[:2] + b"\x28\x00" + BARE[4:], "NOTIMP"),
    ],
    ids=["bytes behind", "an answer", "UPDATE"],
)
def test_what_is_more_than_a_query_for_a_cookie_is_none(sent: bytes, expected: str) -> None:
    """Only a whole query of opcode QUERY with an OPT and no other section is one."""
    assert reply(engine_by(), sent).text == expected


def test_cookies_off_leave_a_query_without_a_question_malformed() -> None:
    """RFC 7873 §5.4: servers that do not know cookies "will normally send FORMERR"."""
    got = reply(engine_by(AnswerPolicy(nsid="ns1")), packet("", [(COOKIE, CLIENT)]))
    assert (got.text, got.options) == ("FORMERR", [])


# --- room -----------------------------------------------------------------------------------------------------------


def test_options_count_for_the_size() -> None:
    """Records that fit alone are truncated where cookie and NSID leave no room, and both are still there."""
    engine = engine_by(replace(POLICY, nsid="n" * 128))
    exact = "long.example.org. TXT"
    text = ask(engine, exact, udp_size=512).text
    assert text.startswith("NOERROR aa\nanswer:")
    options = [(NSID, b""), (COOKIE, VALID)]
    assert ask(engine, exact, *options, udp_size=512).text == text
    big = Engine(snapshot_of(zone_of("big TXT " + " ".join(['"' + "x" * 100 + '"'] * 4))), policy=engine.policy)
    assert ask(big, "big.example.org. TXT", udp_size=512).text.startswith("NOERROR aa\nanswer:")
    got = ask(big, "big.example.org. TXT", *options, udp_size=512)
    assert (got.text, got.options) == (TRUNCATED, ["NSID " + "n" * 128, f"COOKIE {VALID.hex()}"])
    assert ask(big, "big.example.org. TXT", *options, via=TCP).text.startswith("NOERROR aa\nanswer:")


PADDED: list[tuple[str, Via, list[Option]]] = [
    ("www.example.org. A", TLS, [(PADDING, b"")]),
    ("www.example.org. A", HTTPS, [(PADDING, bytes(99)), (COOKIE, VALID)]),
    ("www.example.org. A", TLS, [(NSID, b""), (PADDING, b"\x01"), (KEEPALIVE, b"")]),
    ("no.example.org. A", TLS, [(PADDING, b"")]),
    ("long.example.org. TXT", TLS, [(PADDING, b""), (PADDING, b"")]),
    ("www.example.com. A", TLS, [(PADDING, b"")]),
    ("www.example.org. OPT", TLS, [(PADDING, b"")]),
    ("", TLS, [(PADDING, b""), (COOKIE, VALID)]),
]


@pytest.mark.parametrize(("question", "via", "options"), PADDED)
def test_responses_are_padded_where_nobody_can_read_them(question: str, via: Via, options: list[Option]) -> None:
    """RFC 8467 §4.1: to a multiple of 468 bytes; the padding is zeros (RFC 7830 §3) and comes last."""
    got = reply(engine_by(), packet(question, options), via=via)
    plain = reply(engine_by(), packet(question, [each for each in options if each[0] != PADDING]), via=via)
    assert len(got.wire) == 468
    assert got.text == plain.text
    assert (got.options or [])[:-1] == plain.options
    assert (got.options or [])[-1] == f"PADDING {468 - len(plain.wire) - 4}"


def test_a_signature_stays_behind_all_options() -> None:
    """RFC 8945 §5.1: the TSIG record is the last one, also where the OPT before it is padded."""
    message = dns.message.from_wire(packet("www.example.org. A", [(NSID, b""), (PADDING, b"")]))
    message.use_tsig(dns.tsigkeyring.from_text({"Some.Key.": "c2VjcmV0"}), algorithm=dns.tsig.HMAC_SHA256)
    wire = engine_by().respond(message.to_wire(), now=NOW, via=TLS, peer=PEER)
    assert wire is not None
    assert len(wire) == 468
    assert wire.index(b"\x00\x03\x00\x03ns1") < wire.index(b"\x04Some\x03Key")
    parsed = DNSRecord.parse(wire)
    assert [record.rtype for record in parsed.ar] == [41, 250]
    assert [option.code for option in parsed.ar[0].rdata] == [NSID, PADDING]


def test_a_signature_that_does_not_fit_leaves_the_rest_whole() -> None:
    """Long names make a TSIG record that has no room over UDP; the OPT with its options is said all the same."""
    message = dns.message.from_wire(packet("www.example.org. A", []))
    message.use_edns(0, payload=512, options=[dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")])
    long_name = dns.name.from_text(".".join(["k" * 63] * 3 + ["k" * 60]) + ".").to_wire()
    assert long_name is not None
    rdata = long_name + struct.pack("!HIHHHHH", 0, int(NOW), 300, 0, 0, 0, 0)
    signed = message.to_wire() + long_name + struct.pack("!HHIH", 250, 255, 0, len(rdata)) + rdata
    signed = signed[:10] + struct.pack("!H", 2) + signed[12:]  # ARCOUNT: the OPT and this one
    told = {}
    for via in (UDP, TCP):
        response = dns.message.from_wire(engine_by().respond(signed, now=NOW, via=via, peer=PEER) or b"", keyring=False)
        told[via] = response.rcode(), [option.otype for option in response.options], response.had_tsig
    assert told == {UDP: (dns.rcode.NOTAUTH, [NSID], False), TCP: (dns.rcode.NOTAUTH, [NSID], True)}


@pytest.mark.parametrize("via", [UDP, TCP])
def test_nothing_is_padded_in_the_open(via: Via) -> None:
    """RFC 7830 §6: padding helps only where the transport is encrypted."""
    assert told((PADDING, b""), via=via) == []


@pytest.mark.parametrize("via", [TLS, HTTPS])
def test_nothing_is_padded_unasked(via: Via) -> None:
    """RFC 7830 §4: the response is padded where the query is; without EDNS it must not be."""
    assert told(via=via) == []
    wire = engine_by().respond(query("www.example.org. A"), now=NOW, via=via, peer=PEER)
    assert wire is not None
    assert read(wire).options is None


@pytest.mark.parametrize("size", [0, 1, 200, *range(395, 425), 800, 2000, 65000, *range(65440, 65480)])
def test_padding_ends_with_a_block_or_the_limit(size: int) -> None:
    """Whatever the response has, it becomes whole blocks with the option's own 4 bytes, and 65,535 bytes at most."""
    rrset = RRset(TXT, 1, (bytes(size),))
    zone = zone_of("x TXT x")
    zone.nodes[b"\x01x" + zone.apex].rrsets = {TXT: rrset}
    engine = Engine(snapshot_of(zone), policy=POLICY)
    plain, padded = (
        engine.respond(packet("x.example.org. TXT", options), now=NOW, via=TLS, peer=PEER) or b""
        for options in ([], [(PADDING, b"")])
    )
    least = len(plain) + 4
    expected = min(-(-least // 468) * 468, 65535) if least <= 65535 else len(plain)
    assert len(padded) == expected
    assert padded[:12] == plain[:12]
