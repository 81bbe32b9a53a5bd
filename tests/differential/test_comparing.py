"""The comparison itself: it finds what is wrong in an answer, and not what DNS leaves to the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from tests.differential.asking import Question
from tests.differential.comparing import Seen, seen
from tests.differential.differences import unexplained
from tests.differential.judging import Case, complaints, without_apex_servers
from tests.differential.zones import FILES, facts

NAME = dns.name.from_text("c3.alias.test.")
QUESTION = Question(NAME, dns.rdatatype.MX)

Change = Callable[[dns.message.Message], None]


def answer() -> dns.message.QueryMessage:
    """Return the right answer, with a section of each kind."""
    message = dns.message.make_response(dns.message.make_query(NAME, "MX"))
    assert isinstance(message, dns.message.QueryMessage)
    message.flags |= dns.flags.AA
    message.use_edns(0, dns.flags.DO)
    message.answer = [
        dns.rrset.from_text("c3.alias.test.", 30, "IN", "CNAME", "c4.alias.test."),
        dns.rrset.from_text("c4.alias.test.", 40, "IN", "CNAME", "end.alias.test."),
        dns.rrset.from_text("end.alias.test.", 300, "IN", "MX", "10 end.alias.test."),
    ]
    message.additional = [
        dns.rrset.from_text("end.alias.test.", 300, "IN", "A", "192.0.2.2"),
        dns.rrset.from_text("end.alias.test.", 300, "IN", "AAAA", "2001:db8::2"),
    ]
    return message


def case_of(ours: Seen) -> Case:
    """Return a case where the three others have the right answer."""
    return Case(QUESTION, ours, dict.fromkeys(("knot", "nsd", "bind"), seen(answer().to_wire())))


def _add(section: str, *words: str) -> Change:
    return lambda message: getattr(message, section).append(dns.rrset.from_text(words[0], int(words[1]), *words[2:]))


def _no_opt(message: dns.message.Message) -> None:
    message.use_edns(False)


CHANGES: dict[str, Change] = {
    "no AA": lambda message: setattr(message, "flags", message.flags & ~dns.flags.AA),
    "RA": lambda message: setattr(message, "flags", message.flags | dns.flags.RA),
    "no RD": lambda message: setattr(message, "flags", message.flags & ~dns.flags.RD),
    "RCODE": lambda message: message.set_rcode(dns.rcode.NXDOMAIN),
    "no OPT": _no_opt,
    "no DO": lambda message: message.use_edns(0, 0),
    "another question": lambda message: setattr(message.question[0], "name", dns.name.from_text("c2.alias.test.")),
    "no answer": lambda message: message.answer.clear(),
    "no end of the chain": lambda message: message.answer.__delitem__(2),
    "the chain backwards": lambda message: message.answer.reverse(),
    "a TTL": lambda message: setattr(message.answer[0], "ttl", 31),
    "another record": lambda message: message.answer.__setitem__(2, message.additional[0]),
    "a record too many": _add("answer", "end.alias.test.", "300", "IN", "MX", "20 end.alias.test."),
    "a record twice": lambda message: message.answer.append(message.answer[2]),
    "an authority section": _add("authority", "alias.test.", "300", "IN", "NS", "ns.alias.test."),
    "an address missing": lambda message: message.additional.__delitem__(1),
    "an address too many": _add("additional", "end.alias.test.", "300", "IN", "A", "192.0.2.3"),
    "an address twice": lambda message: message.additional.append(message.additional[0]),
}


def test_the_right_answer_has_nothing_wrong() -> None:
    """An answer that all agree on is taken."""
    assert complaints(case_of(seen(answer().to_wire()))) == []


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_any_part_is_found(change: Change) -> None:
    """One thing that is not as with the others is a complaint, and no row explains it away."""
    message = answer()
    change(message)
    case = case_of(seen(message.to_wire()))
    assert unexplained(case, complaints(case)) != []


def test_every_flipped_bit_is_seen() -> None:
    """Only the ID, the case of letters, and the size and flags of the OPT have no meaning; no other bit may change."""
    wire = answer().to_wire()
    right = seen(wire)
    opt = len(wire) - 11  # root, type, size, extended RCODE, version, flags, length (RFC 6891 §6.1.2)
    unseen = set()
    for place in range(2, len(wire)):
        for bit in range(8):
            flipped = bytearray(wire)
            flipped[place] ^= 1 << bit
            try:
                same = seen(bytes(flipped)) == right
            except dns.exception.DNSException:
                continue
            letter = bit == 5 and wire[place : place + 1].isalpha()
            if same and not letter:
                unseen.add((place - opt, bit))
    size = {(place, bit) for place in (3, 4) for bit in range(8)}
    flags = {(7, bit) for bit in range(7)} | {(8, bit) for bit in range(8)}
    assert unseen == size | flags


def test_order_and_case_have_no_meaning() -> None:
    """Records in another order, and names in another case, are the same answer."""
    message = answer()
    message.additional.reverse()
    message.answer[2] = dns.rrset.from_text("END.Alias.test.", 300, "IN", "MX", "10 eND.ALIAS.test.")
    assert seen(message.to_wire()) == seen(answer().to_wire())


def test_where_no_two_agree_ours_must_agree_with_one() -> None:
    """Three others of three minds allow each of their answers, and no fourth."""
    right = seen(answer().to_wire())
    others = {name: replace(right, rcode=rcode) for name, rcode in (("knot", 0), ("nsd", 2), ("bind", 5))}
    assert complaints(Case(QUESTION, replace(right, rcode=2), others)) == []
    assert complaints(Case(QUESTION, replace(right, rcode=3), others)) == ["core"]


def _truncated(records: int) -> Seen:
    message = answer()
    message.flags |= dns.flags.TC
    del message.answer[records:]
    message.additional.clear()
    return seen(message.to_wire())


def test_a_truncated_answer_is_a_part_of_the_whole() -> None:
    """A part with TC is taken where another has TC too; without TC, or with what the whole lacks, it is not."""
    whole = seen(answer().to_wire())
    others = dict.fromkeys(("knot", "nsd", "bind"), _truncated(1))

    def judged(ours: Seen) -> list[str]:
        return complaints(Case(QUESTION, ours, others, whole))

    part = _truncated(2)
    assert judged(part) == judged(_truncated(0)) == judged(whole) == []
    assert judged(replace(part, flags=part.flags & ~dns.flags.TC)) == ["part without TC"]
    assert judged(replace(part, authority=whole.additional)) == ["more than the whole"]
    assert judged(replace(part, rcode=3)) == ["RCODE or AA"]
    assert complaints(Case(QUESTION, part, dict.fromkeys(others, whole), whole)) == ["TC"]


def test_a_referral_without_its_glue_is_found() -> None:
    """An in-domain name server's address is missed even where all others lack it."""
    message = dns.message.make_response(dns.message.make_query("x.signed.cuts.test.", "A"))
    message.authority = [dns.rrset.from_text("signed.cuts.test.", 300, "IN", "NS", "ns.signed.cuts.test.")]
    message.additional = [dns.rrset.from_text("ns.signed.cuts.test.", 300, "IN", "A", "192.0.2.17")]
    part = seen(message.to_wire())
    question = Question(dns.name.from_text("x.signed.cuts.test."), dns.rdatatype.A)
    found = complaints(Case(question, part, dict.fromkeys(("knot", "nsd", "bind"), part)))
    assert found == ["no glue: signed.cuts.test. 300 NS ns.signed.cuts.test."]


def test_what_nsd_adds_to_answers_is_left_out_and_nothing_else() -> None:
    """The zone's NS records and their addresses go; those of a referral behind an alias stay."""
    message = answer()
    message.authority = [dns.rrset.from_text("alias.test.", 300, "IN", "NS", "ns.alias.test.")]
    message.additional.append(dns.rrset.from_text("ns.alias.test.", 300, "IN", "A", "192.0.2.1"))
    assert without_apex_servers(seen(message.to_wire())) == seen(answer().to_wire())
    message.authority = [dns.rrset.from_text("cut.alias.test.", 300, "IN", "NS", "ns.alias.test.")]
    assert without_apex_servers(seen(message.to_wire())) == seen(message.to_wire())


def test_every_zone_is_read() -> None:
    """Each file has records at its apex, as dnspython reads it."""
    assert all(facts(apex).records[facts(apex).apex] for apex in FILES)
