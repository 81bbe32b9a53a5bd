"""Records as PowerDNS reads them: types by name, RDATA as text.

It knows which types PowerDNS has a form of its own for, and where that form differs from dnspython's. It knows neither
zones nor the protocol.
"""

from __future__ import annotations

import base64
import re
import struct
from functools import lru_cache
from ipaddress import ip_address

import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdatatype import RdataType

from dnsd.core.records import ADDRESS_TYPES

# Most answers are made of few records. Unit: records.
TEXTS_KEPT = 16_384

# What stands for an empty non-terminal: PowerDNS calls such a record ENT, and has it answer NODATA.
EMPTY_NON_TERMINAL = ("", "")

# PowerDNS runs records of this type as a program that makes records of another one; where it fails, the answer to
# a question for that type is SERVFAIL, and all other questions have theirs.
_FAILING_TYPE = "LUA"
_FAILURE = "error('no node of the pool serves')"

# It does so in zones with this in their metadata.
METADATA = {"ENABLE-LUA-RECORDS": ["1"]}

# Types that PowerDNS takes for orders to itself (ALIAS and LUA), of a range that is for private use.
NOT_TOLD = frozenset({65401, 65402})

# The types that pdns_server 4.7 reads in a form of their own; all others it reads as RFC 3597 §5 has it, and none of
# these.
_KNOWN_NAMES = """
    A NS CNAME SOA MB MG MR PTR HINFO MINFO MX TXT RP AFSDB KEY AAAA LOC SRV NAPTR KX CERT DNAME APL DS SSHFP IPSECKEY
    RRSIG NSEC DNSKEY DHCID NSEC3 NSEC3PARAM TLSA SMIMEA TYPE57 CDS CDNSKEY OPENPGPKEY CSYNC ZONEMD SVCB HTTPS SPF NID
    L32 L64 LP EUI48 EUI64 URI CAA DLV
"""
_KNOWN = frozenset(_KNOWN_NAMES.split())

# Types that dnspython has no form for, by one with the same fields (RFC 1035 §3.3, and RKEY, which is as DNSKEY).
_LIKE = {
    RdataType.MB: RdataType.NS,
    RdataType.MG: RdataType.NS,
    RdataType.MR: RdataType.NS,
    RdataType.MINFO: RdataType.RP,
    57: RdataType.DNSKEY,
}

_CERT = struct.Struct("!HHB")  # type, key tag, algorithm; the certificate is behind them

# Quotes within values have a backslash before them, so that this is the parameter and no part of another one.
_QUOTED_PORT = re.compile(r' port="(\d+)"')


def failing(rdtype: int) -> tuple[str, str]:
    """Return type and content of a record that makes PowerDNS answer SERVFAIL to questions for a type."""
    return _FAILING_TYPE, f'{dns.rdatatype.to_text(RdataType.make(rdtype))} "{_FAILURE}"'


@lru_cache(maxsize=TEXTS_KEPT)
def as_text(rdtype: int, rdata: bytes) -> tuple[str, str]:
    """Return a record's type and content as PowerDNS reads them; names are absolute, with their final dot.

    Priorities are part of the content, as in a master file.

    Args:
        rdata: uncompressed.
    """
    name = dns.rdatatype.to_text(RdataType.make(rdtype))
    if rdtype in ADDRESS_TYPES:
        return name, str(ip_address(rdata))  # most of a list are these, and the way below takes ten times as long
    if name not in _KNOWN:
        return f"TYPE{rdtype}", rf"\# {len(rdata)} {rdata.hex()}".rstrip()
    if rdtype == RdataType.CERT:
        kind, tag, algorithm = _CERT.unpack_from(rdata)
        return name, f"{kind} {tag} {algorithm} {base64.b64encode(rdata[_CERT.size :]).decode()}"
    form = _LIKE.get(rdtype, RdataType.make(rdtype))
    text = dns.rdata.from_wire(dns.rdataclass.IN, form, rdata, 0, len(rdata)).to_text()
    if rdtype in (RdataType.SVCB, RdataType.HTTPS):
        # It reads digits there, and no quotes.
        text = _QUOTED_PORT.sub(r" port=\1", text)
    return name, text
