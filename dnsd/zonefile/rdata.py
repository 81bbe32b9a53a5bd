"""The type and the data of a record, from the tokens of a master file to its bytes, through dnspython."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.svcbbase import SVCBBase

from dnsd.core import constants
from dnsd.model.pool import MAX_TTL_SECONDS
from dnsd.zonefile.statement import Fault, text_of

# RDLENGTH has two bytes (RFC 1035 §3.2.1). Unit: bytes.
MAX_RDATA_SIZE = 65_535

# Types whose RDATA holds names that compare without regard to case (RFC 4034 §6.2, less those long obsolete).
_WITH_NAMES = frozenset({2, 5, 6, 12, 14, 15, 17, 18, 21, 24, 26, 33, 35, 36, 39, 46})

_VERSION = {constants.A: 4, constants.AAAA: 6}
_SVCB_AND_HTTPS = frozenset({64, 65})


@dataclass(frozen=True, slots=True)
class Rdata:
    """A record's data.

    Args:
        wire: uncompressed.
        canonical: the same with its names folded (RFC 4034 §6.2).
        soa_minimum: seconds; None: it is no SOA.
        ignored_parameters: it is in AliasMode and has parameters all the same.
    """

    wire: bytes
    canonical: bytes
    soa_minimum: int | None
    ignored_parameters: bool


def parse_type(text: str) -> int:
    """Return the number of a type of zone data.

    Raises:
        Fault: no type, or one of questions and meta data.
    """
    try:
        rdtype = dns.rdatatype.from_text(text)
    except (dns.exception.DNSException, ValueError):
        raise Fault("unknown-type", f"{text!r} is not a record type") from None
    # RFC 6895 §3.1: 128 to 255 are for questions and meta data; OPT and 0 stand in no zone either.
    if 128 <= rdtype <= 255 or rdtype in (0, constants.OPT):
        raise Fault("not-data", f"{text} is not a type of zone data", loses=False)
    return int(rdtype)


def parse_rdata(tokens: dns.tokenizer.Tokenizer, rdtype: int, *, kind: str, origin: dns.name.Name) -> Rdata:
    """Read a record's data up to the end of its statement.

    Args:
        kind: the type as written.
        origin: what relative names end in.

    Raises:
        Fault: it cannot be read, or is too long.
    """
    first = _peek(tokens, kind, rdtype)
    try:
        # Where one of its types raises something of its own, the wrapper makes it an error of the parser.
        with dns.exception.ExceptionWrapper(dns.exception.SyntaxError):  # type: ignore[no-untyped-call]  # dnspython's
            rdata = _read(tokens, first, rdtype, origin)
            wire = bytes(rdata.to_wire() or b"")
            canonical = rdata.to_digestable() if rdtype in _WITH_NAMES else wire
    except dns.exception.DNSException as error:
        why = _why_no_address(first, rdtype) or _why_unreadable(kind, error)
        raise Fault("bad-rdata", why, rdtype=rdtype) from None
    if len(wire) > MAX_RDATA_SIZE:
        message = f"the data of the {kind} record has {len(wire)} bytes, and at most {MAX_RDATA_SIZE} are possible"
        raise Fault("bad-rdata", message, rdtype=rdtype)
    minimum = min(rdata.minimum, MAX_TTL_SECONDS) if isinstance(rdata, SOA) else None
    ignored = isinstance(rdata, SVCBBase) and rdata.priority == 0 and bool(rdata.params)
    return Rdata(wire, canonical, minimum, ignored)


def _peek(tokens: dns.tokenizer.Tokenizer, kind: str, rdtype: int) -> dns.tokenizer.Token:
    try:
        token = tokens.get()
    except dns.exception.DNSException as error:
        raise Fault("bad-rdata", _why_unreadable(kind, error), rdtype=rdtype) from None
    tokens.unget(token)
    return token


def _read(
    tokens: dns.tokenizer.Tokenizer, first: dns.tokenizer.Token, rdtype: int, origin: dns.name.Name
) -> dns.rdata.Rdata:
    alias = rdtype in _SVCB_AND_HTTPS and first.is_identifier() and not first.value.strip("0")
    if alias:
        # RFC 9460 §2.4.2: "In AliasMode, records SHOULD NOT include any SvcParams, and recipients MUST ignore any
        # SvcParams that are present." dnspython refuses them, so they are read as those of a ServiceMode record.
        tokens.get()
        tokens.unget(dns.tokenizer.Token(dns.tokenizer.IDENTIFIER, "1"))
    rdata = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.RdataType(rdtype), tokens, origin, False)
    return rdata.replace(priority=0) if alias else rdata


def _why_no_address(first: dns.tokenizer.Token, rdtype: int) -> str | None:
    """Say what is wrong with the data of an A or AAAA record, if it is the address."""
    version = _VERSION.get(rdtype)
    if version is None or first.value == "\\#":
        return None
    if first.is_eol_or_eof():
        return f"the IPv{version} address is missing"
    try:
        good = ip_address(first.value).version == version
    except ValueError:
        good = False
    return None if good else f"{first.value!r} is not an IPv{version} address"


def _why_unreadable(kind: str, error: dns.exception.DNSException) -> str:
    # An error that was given no reason says only what its class is about: "Text input is malformed."
    text = text_of(error)
    detail = f": {text}" if text and text != type(error).__doc__ else ""
    return f"the data of the {kind} record cannot be read{detail}"
