"""Each kind of answer as dig sees it over UDP and TCP, and every byte of it as two other decoders do."""

from __future__ import annotations

import re
import socket
import struct

import dns.flags
import dns.message
import dns.query
import pytest
from dnslib import DNSRecord

from tests.support.servers import Server

TRANSPORTS = ("+notcp", "+tcp")

# question, RCODE, flags, answer, authority, additional; records as `owner TTL type RDATA`, addresses of pools sorted
CASES = [
    (
        "edge.example.org A",
        "NOERROR",
        "qr aa",
        [f"edge.example.org. 30 A 192.0.2.{last}" for last in (11, 12, 13)],
        [],
        [],
    ),
    (
        "edge.example.org AAAA",
        "NOERROR",
        "qr aa",
        [f"edge.example.org. 30 AAAA 2001:db8::{last}" for last in (11, 12)],
        [],
        [],
    ),
    (
        "us.edge.example.org AAAA",  # its only node has no IPv6 address: NODATA, not NXDOMAIN
        "NOERROR",
        "qr aa",
        [],
        ["example.org. 60 SOA ns1.example.org. hostmaster.example.org. 2026010101 7200 900 1209600 60"],
        [],
    ),
    ("edge-1.nodes.example.org A", "NOERROR", "qr aa", ["edge-1.nodes.example.org. 300 A 192.0.2.11"], [], []),
    (
        "nodes.example.org A",  # an empty non-terminal
        "NOERROR",
        "qr aa",
        [],
        ["example.org. 60 SOA ns1.example.org. hostmaster.example.org. 2026010101 7200 900 1209600 60"],
        [],
    ),
    (
        "deep.example.org TXT",  # another, from the zone file
        "NOERROR",
        "qr aa",
        [],
        ["example.org. 60 SOA ns1.example.org. hostmaster.example.org. 2026010101 7200 900 1209600 60"],
        [],
    ),
    (
        "missing.nodes.example.org A",
        "NXDOMAIN",
        "qr aa",
        [],
        ["example.org. 60 SOA ns1.example.org. hostmaster.example.org. 2026010101 7200 900 1209600 60"],
        [],
    ),
    ("x.y.wild.example.org TXT", "NOERROR", "qr aa", ['x.y.wild.example.org. 300 TXT "any"'], [], []),
    (
        "www.example.org A",  # a CNAME to a pool
        "NOERROR",
        "qr aa",
        ["www.example.org. 300 CNAME edge.example.org."]
        + [f"edge.example.org. 30 A 192.0.2.{last}" for last in (11, 12, 13)],
        [],
        [],
    ),
    (
        "far.example.org A",  # a chain through another zone of this server and back to a pool
        "NOERROR",
        "qr aa",
        ["far.example.org. 300 CNAME target.example.net.", "target.example.net. 300 CNAME edge.example.org."]
        + [f"edge.example.org. 30 A 192.0.2.{last}" for last in (11, 12, 13)],
        [],
        [],
    ),
    (
        "x.old.example.org A",
        "NOERROR",
        "qr aa",
        [
            "old.example.org. 300 DNAME new.example.org.",
            "x.old.example.org. 300 CNAME x.new.example.org.",
            "x.new.example.org. 300 A 192.0.2.80",
        ],
        [],
        [],
    ),
    (
        "host.sub.example.org A",
        "NOERROR",
        "qr",
        [],
        ["sub.example.org. 300 NS ns.sub.example.org."],
        ["ns.sub.example.org. 300 A 192.0.2.53"],
    ),
    ("example.com A", "REFUSED", "qr", [], [], []),
]


def records(text: str, section: str) -> list[str]:
    """Return a section of dig's output, a record a line, with single spaces and without the class."""
    found = re.search(rf";; {section} SECTION:\n(.*?)(?:\n\n|\Z)", text, re.DOTALL)
    lines = found[1].splitlines() if found else []
    return [" ".join(part for index, part in enumerate(line.split()) if index != 2) for line in lines]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("question", "rcode", "flags", "answer", "authority", "additional"), CASES)
def test_dig_gets_each_kind_of_answer(
    shared: Server,
    question: str,
    rcode: str,
    flags: str,
    answer: list[str],
    authority: list[str],
    additional: list[str],
    transport: str,
) -> None:
    """RCODE, header bits and all sections are as the zone, the pools and the RFCs ask."""
    text = shared.dig(*question.split(), "+norecurse", transport)
    header = re.search(r"status: (\w+),.*\n;; flags: ([a-z ]*);", text)
    assert header is not None, text
    assert (header[1], header[2]) == (rcode, flags)
    got = records(text, "ANSWER")
    # Chains keep their order; the addresses of a pool rotate behind it.
    chain = sum(" CNAME " in line or " DNAME " in line for line in got)
    assert got[:chain] + sorted(got[chain:]) == answer
    assert records(text, "AUTHORITY") == authority
    assert records(text, "ADDITIONAL") == additional


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("edns", [False, True])
@pytest.mark.parametrize("question", [case[0] for case in CASES])
def test_every_byte_parses_with_two_other_decoders(shared: Server, question: str, host: str, *, edns: bool) -> None:
    """Two decoders read the same message from the bytes, over UDP and TCP, IPv4 and IPv6."""
    name, rdtype = question.split()
    query = dns.message.make_query(name, rdtype, use_edns=edns)
    for ask in (dns.query.udp, dns.query.tcp):
        response = ask(query, host, port=shared.dns_port, timeout=5)
        assert response.wire is not None
        other = DNSRecord.parse(response.wire)
        assert other.header.rcode == response.rcode()
        assert (other.header.a, other.header.auth) == (
            sum(len(rrset) for rrset in response.answer),
            sum(len(rrset) for rrset in response.authority),
        )
        assert (response.edns == 0) == edns
        assert other.pack() is not None


def test_an_answer_too_large_for_udp_is_truncated_and_whole_over_tcp(shared: Server) -> None:
    """UDP gives an empty answer with TC; dig asks again over TCP by itself and gets all of it."""
    query = dns.message.make_query("big.example.org", "TXT", use_edns=True, payload=4096)
    response = dns.query.udp(query, "127.0.0.1", port=shared.dns_port, timeout=5)
    assert response.flags & dns.flags.TC
    assert not response.answer
    assert response.wire is not None
    assert len(response.wire) <= 1232
    assert "x" * 250 in shared.dig("big.example.org", "TXT", "+short")


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["+edns=1", "+noednsneg"], "BADVERS"),
        (["+opcode=notify"], "NOTIMP"),
        (["+opcode=update"], "NOTIMP"),
        (["-c", "CH"], "REFUSED"),
        (["+header-only", "+nocookie"], "FORMERR"),
        (["+header-only", "+cookie"], "NOERROR"),
    ],
)
def test_what_is_not_served_gets_the_rcode_that_the_rfcs_ask(shared: Server, options: list[str], status: str) -> None:
    """An EDNS version, an opcode, a class that are not ours, and no question, which may still ask for a cookie."""
    assert f"status: {status}" in shared.dig("edge.example.org", "A", *options)


def test_a_response_gets_no_response(shared: Server) -> None:
    """What is itself a response, or shorter than a header, is met with silence; the next question is answered."""
    response = dns.message.make_response(dns.message.make_query("edge.example.org", "A")).to_wire()
    question = dns.message.make_query("edge.example.org", "A").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect(("127.0.0.1", shared.dns_port))
        for packet in (response, b"", b"\x00" * 11, question):
            sock.send(packet)
        assert dns.message.from_wire(sock.recv(65535)).id == struct.unpack("!H", question[:2])[0]
