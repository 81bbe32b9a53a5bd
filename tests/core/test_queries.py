"""What a packet must look like to be answered, and which RCODE each fault gets."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.opcode
import dns.tsig
import dns.tsigkeyring
import pytest

from dnsd.core.constants import FORMERR, NOTAUTH, NOTIMP, REFUSED
from dnsd.core.engine import Engine
from dnsd.core.message import parse_query
from dnsd.core.via import UDP, Transport, Via
from tests.support.dnsmessages import NOW, block, decode, engine_of, query, shown, zone_of

NAME = b"\x03www\x07example\x03org\x00"
QUESTION = NAME + b"\x00\x01\x00\x01"
OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
A_RECORD = b"\x00\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\xc0\x00\x02\x01"
SOA_RECORD = b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x16\x00\x00" + bytes(20)
TSIG_FIXED = b"\x00\x00\xfa\x00\xff\x00\x00\x00\x00"
TSIG = TSIG_FIXED + b"\x00\x11\x00" + bytes(8) + b"\x00\x00" + b"\x00\x07\x00\x00\x00\x00"


def packet(*parts: bytes, flags: int = 0x0100, counts: tuple[int, int, int, int] = (1, 0, 0, 0)) -> bytes:
    return struct.pack("!HHHHHH", 0xABCD, flags, *counts) + b"".join(parts)


def typed(qtype: int, qclass: int = 1) -> bytes:
    return NAME + struct.pack("!HH", qtype, qclass)


def opt(rdata: bytes, *, length: int | None = None) -> bytes:
    return OPT[:-2] + struct.pack("!H", len(rdata) if length is None else length) + rdata


ONE_MORE = (1, 0, 0, 1)
LONG_NAME = b"\x3f" + b"a" * 63

# Packet → RCODE, and whether its question comes back.
FAULTS: dict[str, tuple[bytes, int, bool]] = {
    "no question": (packet(counts=(0, 0, 0, 0)), FORMERR, False),
    "two questions": (packet(QUESTION, QUESTION, counts=(2, 0, 0, 0)), FORMERR, False),
    "a header alone that promises a question": (packet(), FORMERR, False),
    "a truncated name": (packet(NAME[:7]), FORMERR, False),
    "a name without its end": (packet(NAME[:-1]), FORMERR, False),
    "a truncated type": (packet(QUESTION[:-3]), FORMERR, False),
    "a pointer for a name": (packet(b"\xc0\x0c\x00\x01\x00\x01"), FORMERR, False),
    "a pointer within a name": (packet(b"\x03www\xc0\x0c\x00\x01\x00\x01"), FORMERR, False),
    "an unknown kind of label": (packet(b"\x41\x00\x00\x00\x01\x00\x01"), FORMERR, False),
    "a name of 257 bytes": (packet(LONG_NAME * 4, b"\x00\x00\x01\x00\x01"), FORMERR, False),
    "bytes behind the question": (packet(QUESTION, b"\x00"), FORMERR, True),
    "bytes behind the OPT": (packet(QUESTION, OPT, b"\x00", counts=ONE_MORE), FORMERR, True),
    "an answer in a query": (packet(QUESTION, A_RECORD, counts=(1, 1, 0, 0)), FORMERR, True),
    "an authority in a query": (packet(QUESTION, A_RECORD, counts=(1, 0, 1, 0)), FORMERR, True),
    "a missing additional record": (packet(QUESTION, counts=ONE_MORE), FORMERR, True),
    "a truncated additional record": (packet(QUESTION, A_RECORD[:-1], counts=ONE_MORE), FORMERR, True),
    "a record with an unknown kind of label": (packet(QUESTION, b"\x80", A_RECORD, counts=ONE_MORE), FORMERR, True),
    "two OPTs": (packet(QUESTION, OPT, OPT, counts=(1, 0, 0, 2)), FORMERR, True),
    "an OPT of another owner": (packet(QUESTION, b"\x01a", OPT, counts=ONE_MORE), FORMERR, True),
    "an OPT owned by a pointer": (packet(QUESTION, b"\xc0\x0c", OPT[1:], counts=ONE_MORE), FORMERR, True),
    "an option that is cut short": (packet(QUESTION, opt(b"\x00\x03\x00"), counts=ONE_MORE), FORMERR, True),
    "an option that overruns": (packet(QUESTION, opt(b"\x00\x03\x00\x05abcd"), counts=ONE_MORE), FORMERR, True),
    "an OPT that overruns the packet": (packet(QUESTION, opt(b"", length=4), counts=ONE_MORE), FORMERR, True),
    "a TSIG before another record": (packet(QUESTION, TSIG, OPT, counts=(1, 0, 0, 2)), FORMERR, True),
    "a TSIG of class IN": (packet(QUESTION, TSIG.replace(b"\xff", b"\x01"), counts=ONE_MORE), FORMERR, True),
    "a TSIG without fields": (packet(QUESTION, TSIG_FIXED, b"\x00\x00", counts=ONE_MORE), FORMERR, True),
    "a TSIG with too much": (
        packet(QUESTION, TSIG.replace(b"\x00\x11\x00", b"\x00\x12\x00"), b"\x00", counts=ONE_MORE),
        FORMERR,
        True,
    ),
    "a TSIG whose owner points at itself": (packet(QUESTION, b"\xc0\x15", TSIG[1:], counts=ONE_MORE), FORMERR, True),
    "a question for OPT": (packet(typed(41)), FORMERR, True),
    "a question for NXNAME": (packet(typed(128)), FORMERR, True),
    "NOTIFY": (packet(QUESTION, flags=0x2000), NOTIMP, True),
    "UPDATE, whose zone is no question": (packet(QUESTION, flags=0x2800), NOTIMP, False),
    "a status request without a question": (packet(flags=0x1000, counts=(0, 0, 0, 0)), NOTIMP, False),
    "opcode 15 with rubbish": (packet(b"\xff\xff", flags=0x7800), NOTIMP, False),
    "TKEY": (packet(typed(249)), NOTIMP, True),
    "TSIG as a type": (packet(typed(250)), NOTIMP, True),
    "MAILB": (packet(typed(253)), NOTIMP, True),
    "MAILA": (packet(typed(254)), NOTIMP, True),
    "a meta-type without a name": (packet(typed(200)), NOTIMP, True),
    "class CHAOS": (packet(typed(16, 3)), REFUSED, True),
    "class NONE": (packet(typed(1, 254)), REFUSED, True),
    "class ANY": (packet(typed(1, 255)), REFUSED, True),
    "AXFR of a zone": (packet(NAME[4:], b"\x00\xfc\x00\x01"), REFUSED, True),
    "AXFR of what is no zone": (packet(typed(252)), NOTAUTH, True),
    "IXFR of what is no zone": (packet(typed(251), SOA_RECORD, counts=(1, 0, 1, 0)), NOTAUTH, True),
}


@pytest.fixture
def engine() -> Engine:
    return engine_of(zone_of("www A 192.0.2.1"))


def respond(engine: Engine, sent: bytes, via: Via = UDP) -> bytes:
    response = engine.respond(sent, now=NOW, via=via, peer="")
    assert response is not None
    return response


@pytest.mark.parametrize(("sent", "rcode", "with_question"), FAULTS.values(), ids=FAULTS)
def test_fault_gets_its_rcode_and_a_header_of_the_querys(
    engine: Engine, sent: bytes, rcode: int, with_question: bool
) -> None:
    """The response has the query's ID, its opcode or RD, no other flag, and the question if that was readable."""
    response = respond(engine, sent)
    (flags,) = struct.unpack_from("!H", sent, 2)
    assert response[:2] == sent[:2]
    assert struct.unpack_from("!H", response, 2) == (0x8000 | (flags & (0x7800 if flags & 0x7800 else 0x0100)) | rcode,)
    decoded = decode(response)
    assert not decoded.answer
    assert not decoded.authority
    assert len(decoded.question) == with_question
    if with_question:
        size = sent.index(b"\x00", 12) + 5 - 12
        assert response[12 : 12 + size] == sent[12 : 12 + size]
    assert engine.counts[Transport.UDP][rcode] == 1


@pytest.mark.parametrize(
    "sent",
    [
        packet(OPT, counts=(0, 0, 0, 1)),
        packet(QUESTION, QUESTION, OPT, counts=(2, 0, 0, 1)),
        packet(QUESTION, A_RECORD, OPT, counts=(1, 1, 0, 1)),
        packet(QUESTION, OPT, flags=0x2800, counts=(1, 0, 0, 1)),
    ],
    ids=["no question", "two questions", "an answer", "UPDATE"],
)
def test_a_refused_query_with_an_opt_gets_one_back(engine: Engine, sent: bytes) -> None:
    """RFC 6891 §6.1.1: an OPT in the request means one in the response, errors included."""
    assert decode(respond(engine, sent)).edns == 0


@pytest.mark.parametrize("sent", [b"", b"\x00", packet()[:11], packet(QUESTION, flags=0x8000), packet(flags=0xF800)])
def test_short_packet_or_response_is_met_with_silence(engine: Engine, sent: bytes) -> None:
    """Nothing is sent to what could not be a query, so that two servers never talk in circles."""
    assert engine.respond(sent, now=NOW, via=UDP, peer="") is None
    assert engine.dropped == 1
    assert sum(map(sum, engine.counts)) == 0


FINE = {
    "every other header bit set": packet(QUESTION, flags=0x07F0),
    "an RCODE in a query": packet(QUESTION, flags=0x000F),
    "a foreign additional record": packet(QUESTION, A_RECORD, OPT, counts=(1, 0, 0, 2)),
    "an additional record with a compressed owner": packet(QUESTION, b"\xc0\x0c", A_RECORD[1:], counts=ONE_MORE),
    "an unknown option": packet(QUESTION, opt(b"\xff\xf0\x00\x02hi\x00\x03\x00\x00"), counts=ONE_MORE),
}


@pytest.mark.parametrize("sent", FINE.values(), ids=FINE)
def test_harmless_oddity_is_answered(engine: Engine, sent: bytes) -> None:
    """What RFCs say to ignore is ignored, and reserved or recursive bits are clear in the response but for RD."""
    response = respond(engine, sent)
    assert shown(decode(response)) == "NOERROR aa\nanswer:\n  www.example.org. 300 A 192.0.2.1"
    (flags,) = struct.unpack_from("!H", response, 2)
    assert flags == 0x8400 | (struct.unpack_from("!H", sent, 2)[0] & 0x0100)


def test_query_holds_what_was_asked() -> None:
    """The question is kept as sent, the name folded, and the OPT's fields by name."""
    parsed = parse_query(query("WWW.Example.org. AAAA", edns=0, udp_size=4000, dnssec_ok=True))
    assert parsed is not None
    assert (parsed.id, parsed.qname, parsed.qtype, parsed.qclass, parsed.opcode) == (0x1234, NAME, 28, 1, 0)
    assert parsed.question == b"\x03WWW\x07Example\x03org\x00\x00\x1c\x00\x01"
    assert parsed.edns == (4000, 0, True, b"")
    assert parsed.tsig is None


def test_signed_query_is_told_that_its_key_is_unknown(engine: Engine) -> None:
    """RFC 8945 §5.2.1: NOTAUTH with an unsigned TSIG that says BADKEY, behind the OPT."""
    message = dns.message.make_query("www.example.org.", "A", use_edns=0)
    message.use_tsig(dns.tsigkeyring.from_text({"Some.Key.": "c2VjcmV0"}), algorithm=dns.tsig.HMAC_SHA256)
    sent = message.to_wire()
    response = respond(engine, sent)
    assert response[2:4] == b"\x81\x09"
    assert response[6:12] == b"\x00\x00\x00\x00\x00\x02"
    with pytest.raises(dns.tsig.PeerBadKey):
        dns.message.from_wire(response, keyring=message.keyring, request_mac=message.mac)


def test_error_response_carries_an_opt_where_the_query_did(engine: Engine) -> None:
    """RFC 6891 §6.1.1: an OPT is answered with one, in errors too, and never sent unasked."""
    for flags, question in ((0x2000, QUESTION), (0, typed(41)), (0, typed(1, 3))):
        assert decode(respond(engine, packet(question, OPT, flags=flags, counts=ONE_MORE))).edns == 0
        assert decode(respond(engine, packet(question, flags=flags))).edns == -1


def test_bad_version_names_ours(engine: Engine) -> None:
    """RFC 6891 §6.1.3: a later EDNS version gets BADVERS and our version 0, whatever its options are."""
    later = b"\x00\x00\x29\x04\xd0\x00\x07\x80\x00\x00\x03abc"
    response = decode(respond(engine, packet(QUESTION, later, counts=ONE_MORE)))
    assert shown(response) == "BADVERS"
    assert (response.edns, response.payload, response.ednsflags & dns.flags.DO) == (0, 1232, dns.flags.DO)
    assert engine.counts[Transport.UDP][16] == 1


@pytest.mark.parametrize("dnssec_ok", [False, True])
def test_opt_of_a_response_has_our_size_and_the_querys_do_bit(engine: Engine, dnssec_ok: bool) -> None:
    """The OPT says 1232 bytes (RFC 9715), version 0, DO as asked (RFC 3225), and no option."""
    response = decode(respond(engine, query("www.example.org. A", edns=0, udp_size=4096, dnssec_ok=dnssec_ok)))
    assert (response.edns, response.payload, response.options) == (0, 1232, ())
    assert bool(response.ednsflags & dns.flags.DO) is dnssec_ok
    assert shown(response) == block(
        """
        NOERROR aa
        answer:
          www.example.org. 300 A 192.0.2.1
        """
    )
