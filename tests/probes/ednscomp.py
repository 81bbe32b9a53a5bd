"""The probes by which ISC's EDNS compliance tester judges a server, and RFC 8906 §8, which describes most of them.

Each has the name that the tester's report gives it, the words for dig that its manual lists, and the outcome as
`outcome_of` words it. What the tester calls `ok` is, in short:

- NOERROR with the SOA and AA; with EDNS version 1 BADVERS and no SOA; of another opcode NOTIMP and nothing else
- an OPT of version 0 where the query has one, and none where it has none
- of the flags those that have a meaning in an answer: RD as it was sent, DO as it was sent, and neither the reserved
  bit of the header nor any unknown flag of EDNS
- no option that is unknown here, and a server cookie behind the client's half
"""

from __future__ import annotations

from dataclasses import dataclass

ZONE = "example.org"


@dataclass(frozen=True, slots=True)
class Probe:
    """A query.

    Args:
        words: for dig.
        outcome: of ours.
        verdict: the tester's tag for it; what is not `ok` has a reason behind it in the table.
    """

    words: str
    outcome: str
    verdict: str = "ok"


_PLAIN = "+noedns +noad +norec"
_EDNS = "+edns=0 +nocookie +noad +norec"
_EDNS1 = "+edns=1 +noednsneg +nocookie +noad +norec"
_COOKIE = "+cookie=0102030405060708"
_NO_SUBNET = "+subnet=0.0.0.0/0"
_SOA = f"SOA {ZONE}"

_FINE = "NOERROR qr aa, SOA"
_LATER = "BADVERS qr, OPT 0"

PROBES = {
    # --- without EDNS -----------------------------------------------------------------------------------------------
    "dns": Probe(f"{_PLAIN} {_SOA}", _FINE),
    "aa": Probe(f"{_PLAIN} +aaflag {_SOA}", _FINE),
    "ad": Probe(f"+noedns +ad +norec {_SOA}", _FINE),
    "cd": Probe(f"{_PLAIN} +cd {_SOA}", _FINE),
    "ra": Probe(f"{_PLAIN} +raflag {_SOA}", _FINE),
    "rd": Probe(f"+noedns +noad +rec {_SOA}", "NOERROR qr aa rd, SOA"),
    "tc": Probe(f"{_PLAIN} +tcflag {_SOA}", _FINE),
    "zflag": Probe(f"{_PLAIN} +zflag {_SOA}", _FINE),
    "opcode": Probe(f"{_PLAIN} +header-only +opcode=15", "NOTIMP RESERVED15 qr"),
    "opcodeflg": Probe(
        "+noedns +header-only +opcode=15 +tcflag +rec +raflag +cd +ad +aaflag +zflag", "NOTIMP RESERVED15 qr"
    ),
    "type666": Probe(f"{_PLAIN} TYPE666 {ZONE}", "NOERROR qr aa"),
    "tcp": Probe(f"{_PLAIN} +tcp {_SOA}", _FINE),
    # --- with EDNS --------------------------------------------------------------------------------------------------
    "edns": Probe(f"{_EDNS} {_SOA}", f"{_FINE}, OPT 0"),
    "edns1": Probe(f"{_EDNS1} {_SOA}", _LATER),
    "edns@512": Probe(f"{_EDNS} +dnssec +ignore +bufsize=512 DNSKEY {ZONE}", "NOERROR qr aa, OPT 0 do"),
    "ednsopt": Probe(f"{_EDNS} +ednsopt=100 {_SOA}", f"{_FINE}, OPT 0"),
    "edns1opt": Probe(f"{_EDNS1} +ednsopt=100 {_SOA}", _LATER),
    "do": Probe(f"{_EDNS} +dnssec {_SOA}", f"{_FINE}, OPT 0 do"),
    "docd": Probe(f"{_EDNS} +dnssec +cd {_SOA}", f"{_FINE}, OPT 0 do"),
    "edns1do": Probe(f"{_EDNS1} +dnssec {_SOA}", "BADVERS qr, OPT 0 do"),
    "ednsflags": Probe(f"{_EDNS} +ednsflags=0x0080 {_SOA}", f"{_FINE}, OPT 0"),
    "optlist": Probe(
        f"+edns=0 +noad +norec +nsid {_NO_SUBNET} +expire {_COOKIE} {_SOA}", f"{_FINE}, OPT 0 NSID COOKIE"
    ),
    "ednsnsid": Probe(f"{_EDNS} +nsid {_SOA}", f"{_FINE}, OPT 0 NSID"),
    "ednscookie": Probe(f"+edns=0 +noad +norec {_COOKIE} {_SOA}", f"{_FINE}, OPT 0 COOKIE"),
    "ednsexpire": Probe(f"{_EDNS} +expire {_SOA}", f"{_FINE}, OPT 0"),
    "ednssubnet": Probe(f"{_EDNS} {_NO_SUBNET} {_SOA}", f"{_FINE}, OPT 0"),
    "edns1nsid": Probe(f"{_EDNS1} +nsid {_SOA}", _LATER),
    "edns1cookie": Probe(f"+edns=1 +noednsneg +noad +norec {_COOKIE} {_SOA}", _LATER),
    "edns1expire": Probe(f"{_EDNS1} +expire {_SOA}", _LATER),
    "edns1subnet": Probe(f"{_EDNS1} {_NO_SUBNET} {_SOA}", _LATER),
    "ednstcp": Probe(f"{_EDNS} +dnssec +bufsize=512 +tcp DNSKEY {ZONE}", "NOERROR qr aa, OPT 0 do"),
    # --- as programs ask --------------------------------------------------------------------------------------------
    "bind11": Probe(f"+edns=0 {_COOKIE} +noad +norec +dnssec {_SOA}", f"{_FINE}, OPT 0 do COOKIE"),
    "dig11": Probe(f"+edns=0 {_COOKIE} +ad +rec {_SOA}", "NOERROR qr aa rd, SOA, OPT 0 COOKIE"),
    # The tester knows it as one that few servers take: a TSIG with a key that everybody knows.
    "dnswkk": Probe(f"{_PLAIN} -y hmac-sha256:.:{'A' * 43}= {_SOA}", "NOTAUTH qr, TSIG BADKEY", "badkey"),
}

# More that RFC 8906 §8 or the manual's examples ask for, in names of our own.
MORE = {
    "unknown flags of a later version": Probe(f"{_EDNS1} +ednsflags=0x0040 {_SOA}", _LATER),
    "version 100": Probe(f"+edns=100 +noednsneg +nocookie +noad +norec {_SOA}", _LATER),
    "version 255 with an option": Probe(f"+edns=255 +noednsneg +nocookie +noad +norec +ednsopt=100:00 {_SOA}", _LATER),
    "negotiation of a version": Probe(f"+edns=1 +ednsneg +nocookie +noad +norec {_SOA}", f"{_FINE}, OPT 0"),
    "truncation at 512": Probe(f"{_EDNS} +ignore +bufsize=512 TXT big.{ZONE}", "NOERROR qr aa tc, OPT 0"),
    "truncation without EDNS": Probe(f"{_PLAIN} +ignore TXT big.{ZONE}", "NOERROR qr aa tc"),
    "truncation, and again over TCP": Probe(f"{_EDNS} +bufsize=512 TXT big.{ZONE}", "NOERROR qr aa, TXT, OPT 0"),
    "a payload size of 0": Probe(f"{_EDNS} +bufsize=0 {_SOA}", f"{_FINE}, OPT 0"),
    "every flag of EDNS": Probe(f"{_EDNS} +dnssec +ednsflags=0xffff {_SOA}", f"{_FINE}, OPT 0 do"),
    "a name that is not there": Probe(f"{_EDNS} +dnssec A missing.{ZONE}", "NXDOMAIN qr aa, OPT 0 do"),
    "a name of nobody": Probe(f"{_EDNS} SOA elsewhere.test", "REFUSED qr, OPT 0 EDE"),
    "a name of nobody, a later version": Probe(f"{_EDNS1} SOA elsewhere.test", _LATER),
    "an unknown option that carries data": Probe(f"{_EDNS} +ednsopt=65001:c0ffee {_SOA}", f"{_FINE}, OPT 0"),
    "keepalive over UDP": Probe(f"{_EDNS} +keepalive {_SOA}", f"{_FINE}, OPT 0"),
    "keepalive over TCP": Probe(f"{_EDNS} +tcp +keepalive {_SOA}", f"{_FINE}, OPT 0 TCP-KEEPALIVE"),
    "class CHAOS": Probe(f"{_PLAIN} -c CH TXT {ZONE}", "REFUSED qr"),
    "class HESIOD": Probe(f"{_PLAIN} -c HS {_SOA}", "REFUSED qr"),
    "class 17": Probe(f"{_PLAIN} -c CLASS17 {_SOA}", "REFUSED qr"),
    "class 17 with EDNS": Probe(f"{_EDNS} -c CLASS17 {_SOA}", "REFUSED qr, OPT 0"),
    "opcode IQUERY": Probe(f"{_PLAIN} +header-only +opcode=1", "NOTIMP IQUERY qr"),
    "opcode STATUS": Probe(f"{_PLAIN} +header-only +opcode=2", "NOTIMP STATUS qr"),
    "opcode 3": Probe(f"{_PLAIN} +header-only +opcode=3", "NOTIMP RESERVED3 qr"),
}

# A server that asks for cookies may say so to a client that has shown to know them.
WITH_COOKIES_ASKED_FOR = {
    "dns": _FINE,
    "edns": f"{_FINE}, OPT 0",
    "ednsnsid": f"{_FINE}, OPT 0 NSID",
    "optlist": "BADCOOKIE qr, OPT 0 NSID COOKIE",
    "ednscookie": "BADCOOKIE qr, OPT 0 COOKIE",
    "bind11": "BADCOOKIE qr, OPT 0 do COOKIE",
    "dig11": "BADCOOKIE qr rd, OPT 0 COOKIE",
    "edns1cookie": _LATER,
}

# The types that the tester asks for, one by one: those of the registry that carry data, and one that is not in it.
_TYPES = """\
A NS MD MF CNAME SOA MB MG MR NULL WKS PTR HINFO MINFO MX TXT RP AFSDB X25 ISDN RT NSAP NSAP-PTR SIG KEY PX GPOS AAAA
LOC NXT SRV NAPTR KX CERT A6 DNAME APL DS SSHFP IPSECKEY RRSIG NSEC DNSKEY DHCID NSEC3 NSEC3PARAM TLSA SMIMEA HIP CDS
CDNSKEY OPENPGPKEY SPF NID L32 L64 LP EUI48 EUI64 URI CAA AVC DOA DLV TYPE1000"""
TYPES = _TYPES.split()

# Of these the zone's apex has records.
TYPES_AT_THE_APEX = {"NS", "SOA", "MX", "TXT"}
