"""What one name of a zone is answered with: matches, NODATA, NXDOMAIN, wildcards, ANY, and names outside."""

from __future__ import annotations

import pytest

from tests.support.dnsmessages import ask, block, engine_of, shown, zone_of

ZONE = zone_of(
    """
    @            SOA   ns1 hostmaster 7 7200 900 1209600 60
    @            NS    ns1
    @            NS    ns.elsewhere.example.
    @            MX    10 mail
    @            MX    20 mail
    ns1          A     192.0.2.53
    mail         A     192.0.2.25
    mail         AAAA  2001:db8::25
    text         TXT   "one" "two"
    deep.ent     A     192.0.2.7
    _sip._udp    SRV   0 5 5060 mail
    *.wild       A     192.0.2.99
    *.wild       TXT   "wild"
    host.wild    A     192.0.2.98
    below.sub.wild  A  192.0.2.97
    *.alias      CNAME mail
    odd          TYPE65280 \\# 3 ABCDEF
    """
)
SOA = "example.org. 60 SOA ns1.example.org. hostmaster.example.org. 7 7200 900 1209600 60"
NODATA = f"NOERROR aa\nauthority:\n  {SOA}"
NXDOMAIN = f"NXDOMAIN aa\nauthority:\n  {SOA}"
MAIL = """\
additional:
  mail.example.org. 300 A 192.0.2.25
  mail.example.org. 300 AAAA 2001:db8::25"""

CASES = {
    "a match": ("ns1.example.org. A", "NOERROR aa\nanswer:\n  ns1.example.org. 300 A 192.0.2.53"),
    "a match of an unknown type": (
        "odd.example.org. TYPE65280",
        "NOERROR aa\nanswer:\n  odd.example.org. 300 TYPE65280 \\# 3 abcdef",
    ),
    "a type that the name lacks": ("ns1.example.org. AAAA", NODATA),
    "a name that does not exist": ("nothing.example.org. A", NXDOMAIN),
    "a name below one that exists": ("below.ns1.example.org. A", NXDOMAIN),
    "an empty non-terminal": ("ent.example.org. A", NODATA),
    "an empty non-terminal of service labels": ("_udp.example.org. SRV", NODATA),
    "the apex's SOA keeps its own TTL": (
        "example.org. SOA",
        "NOERROR aa\nanswer:\n  " + SOA.replace(" 60 SOA", " 300 SOA"),
    ),
    "the apex's NS with the address at hand": (
        "example.org. NS",
        """\
NOERROR aa
answer:
  example.org. 300 NS ns1.example.org.
  example.org. 300 NS ns.elsewhere.example.
additional:
  ns1.example.org. 300 A 192.0.2.53""",
    ),
    "MX with each exchange's addresses once": (
        "example.org. MX",
        f"""\
NOERROR aa
answer:
  example.org. 300 MX 10 mail.example.org.
  example.org. 300 MX 20 mail.example.org.
{MAIL}""",
    ),
    "SRV with the target's addresses": (
        "_sip._udp.example.org. SRV",
        f"NOERROR aa\nanswer:\n  _sip._udp.example.org. 300 SRV 0 5 5060 mail.example.org.\n{MAIL}",
    ),
    "a wildcard": ("x.wild.example.org. A", "NOERROR aa\nanswer:\n  x.wild.example.org. 300 A 192.0.2.99"),
    "a wildcard several labels up": (
        "x.y.z.wild.example.org. TXT",
        'NOERROR aa\nanswer:\n  x.y.z.wild.example.org. 300 TXT "wild"',
    ),
    "a wildcard without the type": ("x.wild.example.org. AAAA", NODATA),
    "a wildcard asked for by its own name": (
        "*.wild.example.org. A",
        "NOERROR aa\nanswer:\n  *.wild.example.org. 300 A 192.0.2.99",
    ),
    "a name that exists hides the wildcard": ("host.wild.example.org. TXT", NODATA),
    "a closer encloser hides the wildcard": ("x.sub.wild.example.org. A", NXDOMAIN),
    "an empty non-terminal hides the wildcard": ("sub.wild.example.org. A", NODATA),
    "the wildcard's parent is not covered by it": ("wild.example.org. A", NODATA),
    "a wildcard alias": (
        "x.alias.example.org. A",
        "NOERROR aa\nanswer:\n  x.alias.example.org. 300 CNAME mail.example.org.\n  mail.example.org. 300 A 192.0.2.25",
    ),
    "ANY gets one RRset": ("mail.example.org. ANY", "NOERROR aa\nanswer:\n  mail.example.org. 300 A 192.0.2.25"),
    "ANY of an empty non-terminal": ("ent.example.org. ANY", NODATA),
    "DS of an ordinary name": ("ns1.example.org. DS", NODATA),
    "DS of an apex whose parent is elsewhere": ("example.org. DS", NODATA),
    "a name outside every zone": ("example.com. A", "REFUSED"),
    "the parent of a zone": ("org. NS", "REFUSED"),
    "the root": (". NS", "REFUSED"),
}


@pytest.mark.parametrize(("question", "expected"), CASES.values(), ids=CASES)
def test_answer_in_presentation_format(question: str, expected: str) -> None:
    """Each question gets exactly the sections, RCODE and flags of its case."""
    assert expected == shown(ask(engine_of(ZONE), question))


def test_case_of_the_question_is_kept_and_does_not_matter() -> None:
    """A question in mixed case finds the name and is echoed as it was sent (RFC 4343)."""
    response = ask(engine_of(ZONE), "NS1.eXample.ORG. A")
    assert response.question[0].name.to_text() == "NS1.eXample.ORG."
    assert shown(response) == "NOERROR aa\nanswer:\n  NS1.eXample.ORG. 300 A 192.0.2.53"


def test_closest_of_several_zones_answers() -> None:
    """A name belongs to the longest apex above it, whatever the parent zone has there (RFC 1034 §4.3.2)."""
    parent = zone_of("name.child A 192.0.2.1\nother A 192.0.2.2")
    child = zone_of("@ 30 SOA ns hostmaster 1 1 1 1 99\nname A 192.0.2.3", apex="child.example.org.")
    engine = engine_of(parent, child)
    assert (
        shown(ask(engine, "name.child.example.org. A"))
        == "NOERROR aa\nanswer:\n  name.child.example.org. 300 A 192.0.2.3"
    )
    expected = block(
        """
        NXDOMAIN aa
        authority:
          child.example.org. 30 SOA ns.child.example.org. hostmaster.child.example.org. 1 1 1 1 99
        """
    )
    assert expected == shown(ask(engine, "other.child.example.org. A"))


def test_root_zone_answers_for_everything_below() -> None:
    """A server of the root zone refuses nothing."""
    engine = engine_of(zone_of("@ NS ns\nns A 192.0.2.1", apex="."))
    assert shown(ask(engine, "ns. A")) == "NOERROR aa\nanswer:\n  ns. 300 A 192.0.2.1"
    assert shown(ask(engine, "nothing. A")).startswith("NXDOMAIN aa\nauthority:\n  . 60 SOA")
    assert shown(ask(engine, ". DS")).startswith("NOERROR aa\nauthority:\n  . 60 SOA")
