"""What is answered, message by message, without a socket; dnspython and dnslib read it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.adapters.transfer.answering import Reply, TransferResponder
from dnsd.adapters.transfer.envelope import Envelope, RecordTooLargeError
from dnsd.adapters.transfer.limits import MESSAGE_BYTES
from dnsd.core.constants import TXT
from dnsd.core.message import parse_query
from dnsd.core.names import from_text
from dnsd.core.zoneversion import ZoneRecord
from tests.adapters.transfer.world import (
    FIRST_SERIAL,
    ZONE,
    Versions,
    ixfr_query,
    record,
    records,
    secondary,
    settings,
    soa,
)
from tests.fuzz.strategies import mutants, queries

NOW = 1_800_000_000.0
EDGE = record("edge.example.org. 60 A 192.0.2.11")


def responder(versions: Versions | None = None) -> TransferResponder:
    """Return one for loopback without keys, and for no other address."""
    return TransferResponder(versions or Versions(records(ZONE)), settings(secondary()), clock=lambda: NOW)


def ask(
    query: dns.message.Message | bytes, *, peer: str = "127.0.0.1", tcp: bool = True, of: TransferResponder
) -> Reply:
    """Return the reply to a query."""
    reply = of.answer(query if isinstance(query, bytes) else query.to_wire(), peer=peer, over_tcp=tcp)
    assert reply is not None
    return reply


def sent(reply: Reply) -> list[bytes]:
    """Return the messages of a reply."""
    return [message for message in reply.messages if message]


def answers(messages: Sequence[bytes]) -> list[tuple[str, str]]:
    """Return owner and type of the records in the answer sections, as dnslib reads them."""
    parsed = map(dnslib.DNSRecord.parse, messages)
    return [(str(each.rname), dnslib.QTYPE.get(each.rtype)) for message in parsed for each in message.rr]


def serials(messages: Sequence[bytes]) -> list[int]:
    """Return the serial of each SOA in the answer sections."""
    parsed = map(dnslib.DNSRecord.parse, messages)
    return [each.rdata.times[0] for message in parsed for each in message.rr if each.rtype == 6]


def test_a_whole_zone_stands_between_two_soas() -> None:
    """AXFR: authoritative, the ID and question of the query, its SOA first and last, every record between them."""
    query = dns.message.make_query("Example.ORG.", "AXFR")
    reply = ask(query, of=responder())
    (message,) = sent(reply)
    response = dns.message.from_wire(message, one_rr_per_rrset=True)
    assert (response.id, response.question, response.rcode()) == (query.id, query.question, dns.rcode.NOERROR)
    assert response.flags == dns.flags.QR | dns.flags.AA | dns.flags.RD
    assert response.question[0].name.to_text() == "Example.ORG."
    owners = [rrset.name.to_text() for rrset in response.answer]
    assert owners == ["example.org.", *(line.split()[0] for line in ZONE.splitlines()), "example.org."]
    assert response.answer[0] == response.answer[-1]
    assert response.edns == -1
    assert reply.outcome.result == "axfr"


def test_a_large_zone_takes_several_messages_of_a_bounded_size() -> None:
    """Each message has the ID, is authoritative, and has at most 16 KiB; owners are compressed in their own case."""
    held = [record(f"{case}{number}.Nodes.example.org. 60 A 192.0.2.1") for number in range(2000) for case in "aA"]
    query = dns.message.make_query("example.org.", "AXFR", use_edns=0)
    messages = sent(ask(query, of=responder(Versions(held))))
    assert len(messages) > 1
    assert max(map(len, messages)) <= MESSAGE_BYTES
    assert sum(map(len, messages)) < len(held) * 26  # an owner alone has more bytes than this has without 14 of it
    parsed = [dns.message.from_wire(message, xfr=True, one_rr_per_rrset=True) for message in messages]
    assert {response.id for response in parsed} == {query.id}
    assert all(response.flags & dns.flags.AA and response.edns == 0 for response in parsed)
    names = [rrset.name.to_text() for response in parsed for rrset in response.answer][1:-1]
    assert names == [str(dns.name.from_wire(each.owner, 0)[0]) for each in held]


def test_a_record_larger_than_a_page_has_a_message_of_its_own() -> None:
    """A record of more than 16 KiB goes alone; one that fits into no message is a fault, and not cut short."""
    big = ZoneRecord(from_text("big.example.org."), TXT, 60, (b"\xff" + b"x" * 255) * 100)
    messages = sent(ask(dns.message.make_query("example.org.", "AXFR"), of=responder(Versions([EDGE, big, EDGE]))))
    assert [len(dns.message.from_wire(each, one_rr_per_rrset=True).answer) for each in messages] == [2, 1, 2]
    giant = big._replace(rdata=(b"\xff" + b"x" * 255) * 255)
    query = parse_query(dns.message.make_query("x" * 60 + ".example.org.", "AXFR").to_wire())
    assert query is not None
    with pytest.raises(RecordTooLargeError):
        list(Envelope(query, None).messages([giant, giant._replace(rdata=giant.rdata + b"\xe0" + b"x" * 224)]))


def test_differences_lead_from_what_a_client_has_to_what_there_is() -> None:
    """IXFR: the new SOA, then for each version the old SOA, what left, the new SOA, what came, and the new SOA."""
    versions = Versions(records(ZONE))
    versions.change(removed=[EDGE])
    versions.change(added=[EDGE])
    reply = ask(ixfr_query(FIRST_SERIAL), of=responder(versions))
    messages = sent(reply)
    edge, apex = ("edge.example.org.", "A"), ("example.org.", "SOA")
    assert answers(messages) == [apex, apex, edge, apex, apex, apex, edge, apex]
    first, second, third = FIRST_SERIAL, FIRST_SERIAL + 1, FIRST_SERIAL + 2
    assert serials(messages) == [third, first, second, second, third, third]
    assert reply.outcome.result == "ixfr"


def test_the_zone_itself_answers_ixfr_where_it_is_shorter_or_history_is_lost() -> None:
    """More differences than records, or a serial that is not known any more: the whole zone, as AXFR has it."""
    many = Versions(records(ZONE))
    for _ in range(4):
        many.change(removed=[EDGE])
        many.change(added=[EDGE])
    lost = Versions(records(ZONE))
    lost.change(removed=[EDGE])
    lost.forget()
    for versions in (many, lost):
        whole = sent(ask(dns.message.make_query("example.org.", "AXFR"), of=responder(versions)))
        reply = ask(ixfr_query(FIRST_SERIAL), of=responder(versions))
        assert answers(sent(reply)) == answers(whole)
        assert reply.outcome.result == "ixfr_as_axfr"


@pytest.mark.parametrize("ahead", [0, 1, 2**31 - 1])
def test_who_is_up_to_date_or_ahead_gets_one_soa(ahead: int) -> None:
    """The same serial, or one that is newer by RFC 1982: the current SOA alone."""
    versions = Versions(records(ZONE), serial=2**32 - 1)
    reply = ask(ixfr_query((versions.serial + ahead) % 2**32), of=responder(versions))
    messages = sent(reply)
    assert answers(messages) == [("example.org.", "SOA")]
    assert serials(messages) == [versions.serial]
    assert reply.outcome.result == "soa"


def test_serials_go_round() -> None:
    """A client at the last serial gets what leads to the first one; one at half the way gets the zone."""
    versions = Versions(records(ZONE), serial=2**32 - 1)
    versions.change(removed=[EDGE])
    assert serials(sent(ask(ixfr_query(2**32 - 1), of=responder(versions)))) == [0, 2**32 - 1, 0, 0]
    assert ask(ixfr_query(2**31), of=responder(versions)).outcome.result == "ixfr_as_axfr"


def test_over_udp_there_is_one_soa_at_most() -> None:
    """SOA and IXFR get the current SOA over UDP; AXFR is refused there."""
    versions = Versions(records(ZONE))
    versions.change(removed=[EDGE])
    for query in (ixfr_query(FIRST_SERIAL), dns.message.make_query("example.org.", "SOA")):
        (message,) = sent(ask(query, tcp=False, of=responder(versions)))
        assert serials([message]) == [FIRST_SERIAL + 1]
        assert dnslib.DNSRecord.parse(message).header.aa
    query = dns.message.make_query("example.org.", "AXFR", use_edns=0)
    response = dns.message.from_wire(sent(ask(query, tcp=False, of=responder(versions)))[0])
    assert (response.rcode(), _extended_error(response)) == (dns.rcode.REFUSED, 21)


def test_an_soa_that_a_datagram_has_no_room_for_is_for_tcp() -> None:
    """TC where the client takes less than there is to say."""
    apex = ".".join(["x" * 63, "y" * 63, "z" * 63, "w" * 50]) + "."
    versions = Versions([], apex=from_text(apex))
    query = dns.message.make_query(apex, "SOA")
    (message,) = sent(ask(query, tcp=False, of=responder(versions)))
    response = dns.message.from_wire(message)
    assert response.flags & dns.flags.TC
    assert not response.answer
    query.use_edns(0, payload=1232)
    assert dns.message.from_wire(sent(ask(query, tcp=False, of=responder(versions)))[0]).answer


REFUSALS = [
    # question, peer → RCODE, extended error
    ("example.org. AXFR", "192.0.2.1", "REFUSED", 18),
    ("example.org. IXFR", "192.0.2.1", "REFUSED", 18),
    ("example.org. SOA", "192.0.2.1", "REFUSED", 18),
    ("example.net. AXFR", "127.0.0.1", "NOTAUTH", 20),
    ("example.net. AXFR", "192.0.2.1", "NOTAUTH", 20),
    ("www.example.org. SOA", "127.0.0.1", "NOTAUTH", 20),
    ("example.org. A", "127.0.0.1", "REFUSED", 21),
    ("example.org. ANY", "127.0.0.1", "REFUSED", 21),
    ("example.org. MAILB", "127.0.0.1", "REFUSED", 21),
]


@pytest.mark.parametrize(("question", "peer", "rcode", "code"), REFUSALS)
@pytest.mark.parametrize("tcp", [True, False], ids=["tcp", "udp"])
def test_what_is_not_offered_is_refused_with_an_extended_error(
    question: str, peer: str, rcode: str, code: int, tcp: bool
) -> None:
    """Strangers, zones that are not here, and other questions: each has its RCODE, its code, and a line for the log."""
    name, rdtype = question.split()
    query = ixfr_query(1, apex=name) if rdtype == "IXFR" else dns.message.make_query(name, rdtype)
    query.use_edns(0)
    reply = ask(query, peer=peer, tcp=tcp, of=responder())
    (message,) = sent(reply)
    response = dns.message.from_wire(message)
    assert (dns.rcode.to_text(response.rcode()), _extended_error(response)) == (rcode, code)
    assert response.question == query.question
    assert not response.answer
    assert not response.flags & dns.flags.AA
    assert reply.outcome.result == "refused"
    assert reply.complaint is not None
    assert name in reply.complaint[1]
    network = "127.0.0.0/24" if peer == "127.0.0.1" else "192.0.2.0/24"
    assert reply.complaint[0].startswith(f"refused to {network}: ")


def test_a_class_other_than_in_is_refused() -> None:
    """There are no zones of other classes."""
    query = dns.message.make_query("example.org.", "AXFR", "CH")
    assert dns.message.from_wire(sent(ask(query, of=responder()))[0]).rcode() == dns.rcode.REFUSED


def test_malformed_requests_get_their_rcode() -> None:
    """Other opcodes are NOTIMP, another EDNS version BADVERS, and what is not a query's form FORMERR."""
    notify = dns.message.make_query("example.org.", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    version = dns.message.make_query("example.org.", "SOA", use_edns=1)
    bare = dns.message.make_query("example.org.", "IXFR")
    foreign = ixfr_query(1)
    foreign.authority[0].name = dns.name.from_text("example.net.")
    two = ixfr_query(1)
    two.authority *= 2
    other = dns.message.make_query("example.org.", "IXFR")
    other.authority.append(dns.rrset.from_text("example.org.", 0, "IN", "A", "192.0.2.1"))
    axfr = dns.message.make_query("example.org.", "AXFR")
    axfr.authority = ixfr_query(1).authority
    doubled = dns.message.make_query("example.org.", "AXFR")
    doubled.question *= 2
    found = {}
    for name, query in locals().items():
        if isinstance(query, dns.message.Message):
            reply = ask(query, of=responder())
            found[name] = dns.rcode.to_text(dns.message.from_wire(sent(reply)[0]).rcode())
            assert reply.outcome.result == "malformed"
    ill = dict.fromkeys(("bare", "foreign", "two", "other", "axfr", "doubled"), "FORMERR")
    assert found == {"notify": "NOTIMP", "version": "BADVERS"} | ill


def test_to_responses_and_fragments_nothing_is_said() -> None:
    """Two servers never answer each other's answers."""
    response = dns.message.make_response(dns.message.make_query("example.org.", "AXFR")).to_wire()
    for packet in (response, response[:11], b""):
        assert responder().answer(packet, peer="127.0.0.1", over_tcp=True) is None


@given(packet=st.one_of(queries(), mutants(), st.binary(max_size=200)), tcp=st.booleans())
def test_no_packet_raises(packet: bytes, tcp: bool) -> None:
    """Whatever comes, there is silence, or a response of the same ID that decodes."""
    reply = responder().answer(packet, peer="127.0.0.1", over_tcp=tcp)
    if reply is None:
        return
    for message in sent(reply):
        response = dns.message.from_wire(message, keyring=False)
        assert response.id == int.from_bytes(packet[:2], "big")
        assert response.flags & dns.flags.QR


def test_a_transfer_keeps_its_version_and_makes_messages_as_they_are_taken() -> None:
    """Nothing of a zone is read before somebody reads it, and a change meanwhile is none of what is being sent."""
    read = 0

    def endless() -> Iterator[ZoneRecord]:
        nonlocal read
        for number in itertools.count():
            read += 1
            yield record(f"n{number}.example.org. 60 A 192.0.2.1")

    versions = Versions([])
    versions.held = endless
    reply = ask(dns.message.make_query("example.org.", "AXFR"), of=responder(versions))
    assert read == 0
    first = next(reply.messages)
    assert 0 < read < 2 * MESSAGE_BYTES
    versions.held = ().__iter__
    versions.serial += 1
    assert serials([first]) == [FIRST_SERIAL]
    assert soa(FIRST_SERIAL).owner == from_text("example.org.")
    assert ("n0.example.org.", "A") in answers([first])
    assert answers([next(reply.messages)])[0][0].startswith("n")


def test_a_long_comparison_lets_others_have_turns() -> None:
    """Where many records are looked at before anything can be sent, empty messages say so."""
    held = [record(f"n{number}.example.org. 60 A 192.0.2.1") for number in range(5000)]
    versions = Versions(held)
    versions.change(removed=held[:2200])
    messages = list(ask(ixfr_query(FIRST_SERIAL), of=responder(versions)).messages)
    assert messages[:2] == [b"", b""]
    assert all(messages[2:])


def _extended_error(response: dns.message.Message) -> int | None:
    for option in response.options:
        if isinstance(option, dns.edns.EDEOption):
            return int(option.code)
    return None
