"""TSIG: whose requests are accepted, and what is said to the others (RFC 8945)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import dns.tsig
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as checked
from hypothesis import strategies as st

from dnsd.adapters.transfer.answering import Reply, TransferResponder
from dnsd.config.transfer import DIGEST_BYTES, TransferKey
from dnsd.core.names import from_text
from tests.adapters.transfer.world import (
    ALGORITHMS,
    FIRST_SERIAL,
    ZONE,
    Versions,
    ixfr_query,
    key,
    keyring_of,
    record,
    records,
    secondary,
    settings,
    signed,
)

NOW = 1_800_000_000.0
BADSIG, BADKEY, BADTIME, BADTRUNC = 16, 17, 18, 22


@pytest.fixture(autouse=True)
def _client_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients sign at `NOW`."""
    monkeypatch.setattr("time.time", lambda: NOW)


def reply_to(packet: bytes, of: TransferKey, *, versions: Versions | None = None, now: float = NOW) -> Reply:
    """Return the reply of a server that gives a zone to whoever has a key."""
    given = settings(secondary(signs=of))
    answering = TransferResponder(versions or Versions(records(ZONE)), given, clock=lambda: now)
    reply = answering.answer(packet, peer="192.0.2.1", over_tcp=True)
    assert reply is not None
    return reply


def refusal(packet: bytes, of: TransferKey, *, now: float = NOW) -> tuple[dns.message.Message, Any]:
    """Return the one message that refuses a packet, whatever its signature, and its TSIG."""
    reply = reply_to(packet, of, now=now)
    assert reply.outcome.result == "refused"
    (message,) = reply.messages
    response = dns.message.from_wire(message, keyring=False)
    assert response.rcode() == dns.rcode.NOTAUTH
    return response, tsig_of(message)


def tampered(packet: bytes, **changes: object) -> bytes:
    """Return a signed packet with other values in its TSIG, and everything else as it was."""
    query = dns.message.from_wire(packet, keyring=False)
    assert query.tsig is not None
    start = packet.rindex(query.tsig.name.to_wire() or b"")
    fixed = query.tsig.name.to_wire() or b""
    rdata: bytes = query.tsig[0].replace(**changes).to_wire()
    return packet[:start] + fixed + struct.pack("!HHIH", dns.rdatatype.TSIG, 255, 0, len(rdata)) + rdata


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("question", ["AXFR", "IXFR", "SOA", "A"])
def test_every_message_is_signed_where_the_query_is(algorithm: str, question: str) -> None:
    """Each message of a response, a refusal as well, verifies with the digest of the one before."""
    of = key(algorithm=algorithm)
    versions = Versions([record(f"n{number}.example.org. 60 A 192.0.2.1") for number in range(1800)])
    versions.change(removed=[record(f"n{number}.example.org. 60 A 192.0.2.1") for number in range(850)])
    query = ixfr_query(FIRST_SERIAL) if question == "IXFR" else dns.message.make_query("example.org.", question)
    packet = signed(query, of).to_wire()
    messages = [message for message in reply_to(packet, of, versions=versions).messages if message]
    assert (len(messages) > 1) is question.endswith("XFR")
    verify_all(messages, of, query)
    broken = bytearray(messages[-1])
    broken[3] ^= 0x10  # the AD bit
    with pytest.raises(dns.tsig.BadSignature):
        verify_all([*messages[:-1], bytes(broken)], of, query)
    if len(messages) > 1:
        with pytest.raises(dns.tsig.BadSignature):
            verify_all([*messages[1:], messages[0]], of, query)


def verify_all(messages: Sequence[bytes], of: TransferKey, query: dns.message.Message) -> None:
    """Verify each message of a response after the one before."""
    context = None
    for message in messages:
        response = dns.message.from_wire(
            message, keyring=keyring_of(of), request_mac=mac_of(query), xfr=True, multi=True, tsig_ctx=context
        )
        assert response.had_tsig
        context = response.tsig_ctx


def mac_of(query: dns.message.Message) -> bytes:
    """Return the MAC of a query that was written."""
    assert query.mac is not None
    return query.mac


def tsig_of(message: bytes) -> Any:
    """Return the TSIG of a message, whatever it is worth."""
    response = dns.message.from_wire(message, keyring=False)
    assert response.tsig is not None
    return response.tsig[0]


def test_names_of_keys_and_algorithms_have_no_case() -> None:
    """A key is found in any case, and the digest is over the names in lower case (RFC 8945 §4.3.3)."""
    of = key("XFR-Key.", "hmac-sha256")
    packet = signed(dns.message.make_query("example.org.", "SOA"), of).to_wire()
    shouted = packet.replace(b"\x0bhmac-sha256", b"\x0bHMAC-SHA256").replace(b"\x07xfr-key", b"\x07xfr-KEY")
    assert shouted != packet
    assert reply_to(shouted, of).outcome.result == "soa"


def test_the_id_before_a_forwarder_is_what_is_signed() -> None:
    """A forwarder that gives the query another ID breaks no signature: the original one is in the TSIG."""
    of = key()
    query = signed(dns.message.make_query("example.org.", "SOA"), of)
    packet = query.to_wire()
    (message,) = reply_to(bytes([packet[0] ^ 0xFF]) + packet[1:], of).messages
    assert message[:1] == bytes([packet[0] ^ 0xFF])
    back = packet[:1] + message[1:]
    assert dns.message.from_wire(back, keyring=keyring_of(of), request_mac=mac_of(query)).answer
    assert tsig_of(message).original_id == query.id


UNKNOWN = [
    key("other."),
    key(algorithm="hmac-sha512"),
    key(algorithm="hmac-sha256-128"),
    key(algorithm="hmac-sha384-192"),
    key(algorithm="hmac-sha1"),
]


@pytest.mark.parametrize("of", UNKNOWN, ids=lambda of: f"{of.name.decode('latin1')}{of.algorithm}")
def test_an_unknown_key_or_algorithm_is_badkey(of: TransferKey) -> None:
    """Another name, another algorithm than the key's, a truncated or a weak one: BADKEY, without a MAC."""
    response, tsig = refusal(signed(dns.message.make_query("example.org.", "AXFR", use_edns=0), of).to_wire(), key())
    assert (tsig.error, tsig.mac, tsig.other) == (BADKEY, b"", b"")
    assert [int(option.code) for option in response.options if option.otype == dns.edns.OptionType.EDE] == [18]


def test_a_wrong_secret_or_a_changed_packet_is_badsig() -> None:
    """A key of the same name with another secret, or a packet that was changed on its way: BADSIG, without a MAC."""
    foreign = signed(dns.message.make_query("example.org.", "AXFR"), key(secret=b"x" * 32)).to_wire()
    packet = signed(dns.message.make_query("example.org.", "AXFR"), key()).to_wire()
    for each in (
        foreign,
        packet.replace(b"\x07example", b"\x07exAmple"),
        tampered(packet, fudge=301),
        tampered(packet, other=b"123456"),
        tampered(packet, mac=bytes(32)),
        tampered(packet, mac=bytes(16)),
    ):
        _, tsig = refusal(each, key())
        assert (tsig.error, tsig.mac) == (BADSIG, b"")


@pytest.mark.parametrize("off", [301, -301, 10**6])
def test_a_clock_that_is_wrong_is_badtime(off: int) -> None:
    """BADTIME is signed, has the client's time, so that it can verify it, and ours in the other data."""
    of = key()
    query = signed(dns.message.make_query("example.org.", "AXFR"), of)
    packet = query.to_wire()
    _, tsig = refusal(packet, of, now=NOW + off)
    assert (tsig.error, tsig.time_signed, tsig.fudge) == (BADTIME, int(NOW), 300)
    assert int.from_bytes(tsig.other, "big") == int(NOW + off)
    assert len(tsig.other) == 6
    (message,) = reply_to(packet, of, now=NOW + off).messages
    with pytest.raises(dns.tsig.PeerBadTime):
        dns.message.from_wire(message, keyring=keyring_of(of), request_mac=mac_of(query))
    assert _mac_of(message, of, mac_of(query)) == tsig.mac


@pytest.mark.parametrize("off", [300, -300])
def test_a_clock_within_the_fudge_is_good(off: int) -> None:
    """So many seconds may lie between both clocks."""
    packet = signed(dns.message.make_query("example.org.", "SOA"), key()).to_wire()
    assert reply_to(packet, key(), now=NOW + off).outcome.result == "soa"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_truncated_mac_is_badtrunc(algorithm: str) -> None:
    """A good MAC that is cut short is known for that, and not accepted; the response is signed whole."""
    of = key(algorithm=algorithm)
    query = signed(dns.message.make_query("example.org.", "AXFR"), of)
    packet = query.to_wire()
    whole = DIGEST_BYTES[algorithm]
    for size in (whole // 2, whole - 1):
        cut = tampered(packet, mac=mac_of(query)[:size])
        _, tsig = refusal(cut, of)
        assert (tsig.error, len(tsig.mac)) == (BADTRUNC, whole)
        (message,) = reply_to(cut, of).messages
        assert _mac_of(message, of, mac_of(query)[:size]) == tsig.mac


@pytest.mark.parametrize("size", [0, 1, 15, 33, 200])
def test_a_mac_of_a_size_that_none_may_have_is_malformed(size: int) -> None:
    """Less than half of the digest, or more than all of it: FORMERR (RFC 8945 §5.2.2.1)."""
    packet = signed(dns.message.make_query("example.org.", "AXFR"), key()).to_wire()
    reply = reply_to(tampered(packet, mac=bytes(size)), key())
    assert reply.outcome.result == "malformed"
    (message,) = reply.messages
    assert dns.message.from_wire(message, keyring=False).rcode() == dns.rcode.FORMERR


@given(
    question=st.sampled_from(["AXFR", "IXFR", "SOA"]),
    fields=st.fixed_dictionaries(
        {},
        optional={
            "error": st.integers(0, 4095),
            "original_id": st.integers(0, 0xFFFF),
            "fudge": st.integers(0, 0xFFFF),
            "time_signed": st.integers(0, 2**48 - 1),
            "other": st.binary(max_size=20),
            "mac": st.binary(max_size=70),
        },
    ),
    at=st.integers(0, 200),
    put=st.binary(max_size=4),
)
@checked(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the clock is the same for each example
def test_no_signed_packet_raises(question: str, fields: dict[str, object], at: int, put: bytes) -> None:
    """Whatever is changed in a packet that was signed well, there is silence, or responses that decode."""
    of = key()
    query = ixfr_query(FIRST_SERIAL - 1) if question == "IXFR" else dns.message.make_query("example.org.", question)
    packet = tampered(signed(query, of).to_wire(), **fields)
    packet = packet[:at] + put + packet[at + len(put) :]
    answering = TransferResponder(Versions(records(ZONE)), settings(secondary(signs=of)), clock=lambda: NOW)
    for tcp in (True, False):
        reply = answering.answer(packet, peer="192.0.2.1", over_tcp=tcp)
        for message in () if reply is None else reply.messages:
            assert dns.message.from_wire(message, keyring=False, xfr=True).id == int.from_bytes(packet[:2], "big")


def test_an_error_in_a_request_is_malformed() -> None:
    """Errors are for responses; one that no registry has is none of ours to make a digest of."""
    packet = signed(dns.message.make_query("example.org.", "SOA"), key()).to_wire()
    for error in (1, BADKEY, 0xFFFF):
        # error and the length of the other data are last
        reply = reply_to(packet[:-4] + error.to_bytes(2, "big") + packet[-2:], key())
        assert reply.outcome.result == "malformed"


def test_a_key_is_only_for_its_own_secondary() -> None:
    """A request that is signed well with a key of somebody else's is refused, and the refusal is signed."""
    mine, theirs = key("mine."), key("theirs.")
    given = settings(
        secondary("ns2", signs=mine, sources=["192.0.2.0/24"]),
        secondary("ns3", signs=theirs, sources=["198.51.100.0/24"]),
    )
    answering = TransferResponder(Versions(records(ZONE)), given, clock=lambda: NOW)
    query = signed(dns.message.make_query("example.org.", "AXFR"), theirs)
    reply = answering.answer(query.to_wire(), peer="192.0.2.1", over_tcp=True)
    assert reply is not None
    (message,) = reply.messages
    response = dns.message.from_wire(message, keyring=keyring_of(theirs), request_mac=mac_of(query))
    assert (response.rcode(), response.had_tsig) == (dns.rcode.REFUSED, True)
    assert reply.complaint == (
        "refused to 192.0.2.0/24: this key is not for this address",
        "AXFR of example.org. from 192.0.2.1, signed with theirs.",
    )
    assert from_text("theirs.") == theirs.name


def _mac_of(message: bytes, of: TransferKey, request_mac: bytes) -> bytes:
    """Return the MAC that a message must have, by its own TSIG."""
    tsig = tsig_of(message)
    start = message.rindex(of.name)
    count = int.from_bytes(message[10:12], "big") - 1
    unsigned = message[:10] + count.to_bytes(2, "big") + message[12:start]
    (known,) = keyring_of(of).values()
    again, _ = dns.tsig.sign(unsigned, known, tsig, tsig.time_signed, request_mac)  # type: ignore[no-untyped-call]
    mac: bytes = again.mac
    return mac
