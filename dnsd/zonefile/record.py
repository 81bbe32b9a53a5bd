"""Reads the records of master files: owner, TTL, class, type and data (RFC 1035 §5.1)."""

from __future__ import annotations

import dns.tokenizer

from dnsd.core import constants, names
from dnsd.zonefile.gathering import Gathering
from dnsd.zonefile.rdata import parse_rdata, parse_type
from dnsd.zonefile.statement import Fault, Scope, is_relative, parse_ttl

_OTHER_CLASSES = ("CH", "HS", "CS", "NONE")


class RecordReader:
    """Reads records into a gathering.

    A record with several faults has each of them reported: what says nothing about the rest of the record becomes a
    problem at once, and what ends the reading of it is raised.
    """

    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
        self._types: dict[str, int] = {}

    def read(
        self, tokens: dns.tokenizer.Tokenizer, token: dns.tokenizer.Token, scope: Scope, *, file: str, line: int
    ) -> None:
        """Read a record: `[owner] [TTL] [class] type RDATA`, where TTL and class may change places.

        Args:
            tokens: from behind the token on.
            token: the first of the line, white space included.
            scope: what holds before it, and then what holds behind it.
            file, line: where it stands.

        Raises:
            Fault: it cannot be read to its end.
            dns.exception.DNSException: the like, before the owner is known.
        """
        if token.is_whitespace():
            token = tokens.get()
            if token.is_eol_or_eof():
                return
        else:
            scope.owner = None
            scope.owner_lost = scope.origin_lost and is_relative(token.value)
            scope.owner = tokens.as_name(token, scope.origin).to_digestable()
            token = tokens.get()
        if scope.owner is None:
            raise Fault("no-owner", "the line names no owner, and no line before it does")
        owner = None if scope.owner_lost else scope.owner
        try:
            _Record(self, owner, scope, file=file, line=line).read(tokens, token)
        except Fault as fault:
            fault.owner = owner
            if fault.rdtype == constants.SOA:
                scope.excuse_missing_ttls()
            raise

    @property
    def gathering(self) -> Gathering:
        """What the records go to."""
        return self._gathering

    def type_of(self, text: str) -> int:
        """Return the number of a type; `Fault` where it is none of zone data."""
        known = self._types.get(text)
        if known is None:
            known = self._types[text] = parse_type(text)
        return known


class _Record:
    """One record while it is read.

    Args:
        owner: folded; None: it is not known.
    """

    __slots__ = ("_file", "_gathering", "_line", "_owner", "_reader", "_scope")

    def __init__(self, reader: RecordReader, owner: bytes | None, scope: Scope, *, file: str, line: int) -> None:
        self._reader = reader
        self._gathering = reader.gathering
        self._owner = owner
        self._scope = scope
        self._file = file
        self._line = line

    def read(self, tokens: dns.tokenizer.Tokenizer, token: dns.tokenizer.Token) -> None:
        """Read what follows the owner, from a token on."""
        apex = self._gathering.apex
        outside = self._owner is not None and not names.is_at_or_below(self._owner, apex)
        if outside:
            self._note("out-of-zone", f"the owner is not in the zone {names.to_text(apex)}")
        ttl, kind = self._ttl_and_type(tokens, token)
        rdtype = self._reader.type_of(kind)
        rdata = parse_rdata(tokens, rdtype, kind=kind, origin=self._scope.origin)
        if ttl is None:
            ttl = self._implicit_ttl(rdata.soa_minimum)
        if outside or self._owner is None:
            return
        if rdata.ignored_parameters:
            self._warn("alias-with-parameters", "parameters of a record in AliasMode (priority 0) are ignored")
        self._gathering.add(
            self._owner,
            rdtype,
            ttl=ttl,
            rdata=rdata.wire,
            canonical=rdata.canonical,
            file=self._file,
            line=self._line,
        )

    def _ttl_and_type(self, tokens: dns.tokenizer.Tokenizer, token: dns.tokenizer.Token) -> tuple[int | None, str]:
        ttl: int | None = None
        class_seen = False
        while True:
            if not token.is_identifier():
                raise Fault(
                    "zone-syntax",
                    "the line ends before the record's type"
                    if token.is_eol_or_eof()
                    else "a quoted string stands where the record's type is expected",
                )
            text = token.value.upper()
            if ttl is None and text[0].isdecimal():  # no type begins with a digit
                ttl = self._scope.last_ttl = self._stated_ttl(text)
            elif not class_seen and (text == "IN" or text == "CLASS1"):
                class_seen = True
            elif text in _OTHER_CLASSES or text.startswith("CLASS"):
                raise Fault("class-not-in", f"class {text} is not served; every record must be of class IN")
            else:
                return ttl, text
            token = tokens.get()

    def _stated_ttl(self, text: str) -> int:
        try:
            return parse_ttl(text)
        except Fault as fault:
            self._note(fault.problem_id, str(fault))
            return 0

    def _implicit_ttl(self, soa_minimum: int | None) -> int:
        ttl = self._scope.implicit_ttl
        if ttl is None and soa_minimum is not None:
            # RFC 1035 §3.3.13: MINIMUM was the default TTL before there was $TTL.
            ttl = self._scope.default_ttl = soa_minimum
        elif ttl is None:
            self._note("no-ttl", "the record states no TTL, and neither $TTL nor a record before it does")
        return ttl or 0

    def _note(self, problem_id: str, message: str) -> None:
        self._gathering.problem(self._file, self._line, place=self._place, problem_id=problem_id, message=message)

    def _warn(self, problem_id: str, message: str) -> None:
        self._gathering.warning(self._file, self._line, place=self._place, problem_id=problem_id, message=message)

    @property
    def _place(self) -> str:
        return names.to_text(self._owner or self._gathering.apex)
