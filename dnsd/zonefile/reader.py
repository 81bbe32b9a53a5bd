"""Reads master files (RFC 1035 §5) statement by statement: directives and records.

dnspython's tokenizer splits the text and its record types read the RDATA. Its own zone reader is not used: that one
stops at the first error, drops records outside the zone without a word, and deletes what clashes with a CNAME. Here a
bad statement is recorded with its file and line, and reading goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
import dns.ttl
from dns.rdtypes.ANY.SOA import SOA

from dnsd.core import constants, names
from dnsd.model.pool import MAX_TTL_SECONDS
from dnsd.zonefile.gathering import Gathering
from dnsd.zonefile.generate import generated_lines
from dnsd.zonefile.source import Source

# Types whose RDATA holds names that compare without regard to case (RFC 4034 §6.2, less those long obsolete).
_WITH_NAMES = frozenset({2, 5, 6, 12, 14, 15, 17, 18, 21, 24, 26, 33, 35, 36, 39, 46})

_OTHER_CLASSES = ("CH", "HS", "CS", "NONE")


class _Fault(Exception):
    """A statement that cannot be used.

    Args:
        owner: of the record that it is, folded; None: it is none, or its owner cannot be read.
    """

    def __init__(self, problem_id: str, message: str, *, owner: bytes | None = None) -> None:
        super().__init__(message)
        self.problem_id = problem_id
        self.owner = owner


@dataclass(slots=True)
class _Scope:
    """What earlier statements of a file mean for later ones.

    Args:
        origin: what relative names end in.
        owner: the last stated owner, folded; None: none yet, or it could not be read.
        default_ttl: seconds, from `$TTL` (RFC 2308 §4).
        last_ttl: seconds, as last stated in a record (RFC 1035 §5.1).
    """

    origin: dns.name.Name
    owner: bytes | None = None
    default_ttl: int | None = None
    last_ttl: int | None = None

    @property
    def implicit_ttl(self) -> int | None:
        """The TTL of a record that states none."""
        return self.last_ttl if self.default_ttl is None else self.default_ttl


class MasterFileReader:
    """Reads one zone's master file, and what it includes, into a gathering.

    Args:
        gathering: receives records, problems and warnings.
    """

    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
        self._origin = dns.name.from_wire(gathering.apex, 0)[0]
        self._open: list[Path] = []
        self._types: dict[str, int] = {}
        self._directives: dict[str, Callable[[Source, _Scope], None]] = {
            "$TTL": self._ttl_directive,
            "$ORIGIN": self._origin_directive,
            "$INCLUDE": self._include_directive,
            "$GENERATE": self._generate_directive,
        }

    def read(self, path: Path) -> None:
        """Read the zone's master file; whatever is wrong with it becomes a problem of the gathering."""
        try:
            self._read_file(path, _Scope(self._origin))
        except _Fault as fault:
            self._report(str(path), 0, fault.problem_id, str(fault))

    def _read_file(self, path: Path, scope: _Scope) -> None:
        """Read one file.

        Raises:
            _Fault: it cannot be opened, is not text, or is being read already.
        """
        try:
            resolved = path.resolve()
            if resolved in self._open:
                raise _Fault("include-loop", f"{path} includes itself, directly or through other files")
            text = path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise _Fault("not-utf8", f"{path} is not UTF-8 text (byte {error.start})") from None
        except (OSError, RuntimeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise _Fault("unreadable", f"{path} cannot be read: {reason}") from None
        self._open.append(resolved)
        self._statements(Source(path, text), scope)
        self._open.pop()

    def _statements(self, source: Source, scope: _Scope) -> None:
        more = True
        while more:
            line = source.line
            try:
                more = self._statement(source, scope)
            except _Fault as fault:
                self._report(source.label, line, fault.problem_id, str(fault), owner=fault.owner)
                source.resume_behind(line)
            except (dns.exception.DNSException, ValueError) as error:
                self._report(source.label, line, "zone-syntax", f"the line cannot be read: {_text_of(error)}")
                source.resume_behind(line)

    def _statement(self, source: Source, scope: _Scope) -> bool:
        """Read up to the end of a statement; return False at the end of the file."""
        line = source.line
        token = source.tokens.get(want_leading=True)
        if token.is_eol_or_eof():
            return bool(token.is_eol())
        if token.is_identifier() and token.value[0] == "$":
            directive = self._directives.get(token.value.upper())
            if directive is None:
                known = ", ".join(self._directives)
                raise _Fault("unknown-directive", f"{token.value} is not a directive; there are {known}")
            directive(source, scope)
        else:
            self._record(source.tokens, token, scope, file=source.label, line=line)
        return True

    # --- directives ---

    def _ttl_directive(self, source: Source, scope: _Scope) -> None:
        scope.default_ttl = _ttl(source.tokens.get_identifier())
        source.tokens.get_eol()

    def _origin_directive(self, source: Source, scope: _Scope) -> None:
        origin = source.tokens.get_name(scope.origin)
        source.tokens.get_eol()
        scope.origin = origin

    def _include_directive(self, source: Source, scope: _Scope) -> None:
        token = source.tokens.get()
        if token.is_eol_or_eof():
            raise _Fault("zone-syntax", "$INCLUDE needs the name of a file")
        path = source.path.parent / token.unescape().value
        origin = scope.origin
        token = source.tokens.get()
        if not token.is_eol_or_eof():
            origin = source.tokens.as_name(token, scope.origin)
            source.tokens.get_eol()
        # RFC 1035 §5.1: an include "never changes the relative origin of the parent file"; nor do its owner and TTL.
        self._read_file(path, replace(scope, origin=origin))

    def _generate_directive(self, source: Source, scope: _Scope) -> None:
        line = source.line
        words = [_as_written(token) for token in source.tokens.get_remaining()]
        source.tokens.get_eol()
        try:
            for text in generated_lines(words):
                tokens = dns.tokenizer.Tokenizer(text)
                self._record(tokens, tokens.get(want_leading=True), scope, file=source.label, line=line)
        except ValueError as error:
            raise _Fault("bad-generate", str(error)) from None

    # --- records ---

    def _record(
        self, tokens: dns.tokenizer.Tokenizer, token: dns.tokenizer.Token, scope: _Scope, *, file: str, line: int
    ) -> None:
        """Read a record: `[owner] [TTL] [class] type RDATA`, where TTL and class may change places."""
        if token.is_whitespace():
            token = tokens.get()
            if token.is_eol_or_eof():
                return
        else:
            scope.owner = None
            scope.owner = tokens.as_name(token, scope.origin).to_digestable()
            token = tokens.get()
        owner = scope.owner
        if owner is None:
            raise _Fault("no-owner", "the line names no owner, and no line before it does")
        try:
            self._owned(owner, tokens, token, scope, file=file, line=line)
        except _Fault as fault:
            fault.owner = owner
            raise

    def _owned(
        self,
        owner: bytes,
        tokens: dns.tokenizer.Tokenizer,
        token: dns.tokenizer.Token,
        scope: _Scope,
        *,
        file: str,
        line: int,
    ) -> None:
        """Read what follows a record's owner, from a token on."""
        if not names.is_at_or_below(owner, self._gathering.apex):
            raise _Fault("out-of-zone", f"the owner is not in the zone {names.to_text(self._gathering.apex)}")
        ttl, kind = _ttl_and_type(tokens, token)
        rdtype = self._type(kind)
        rdata = self._rdata(tokens, rdtype, kind, scope.origin)
        if ttl is not None:
            scope.last_ttl = ttl
        elif (ttl := scope.implicit_ttl) is None:
            if not isinstance(rdata, SOA):
                raise _Fault("no-ttl", "the record states no TTL, and neither $TTL nor a record before it does")
            # RFC 1035 §3.3.13: MINIMUM was the default TTL before there was $TTL.
            ttl = scope.default_ttl = min(rdata.minimum, MAX_TTL_SECONDS)
        wire = bytes(rdata.to_wire() or b"")
        canonical = rdata.to_digestable() if rdtype in _WITH_NAMES else wire
        self._gathering.add(owner, rdtype, ttl=ttl, rdata=wire, canonical=canonical, file=file, line=line)

    def _type(self, text: str) -> int:
        known = self._types.get(text)
        if known is not None:
            return known
        try:
            rdtype = dns.rdatatype.from_text(text)
        except (dns.exception.DNSException, ValueError):
            raise _Fault("unknown-type", f"{text!r} is not a record type") from None
        # RFC 6895 §3.1: 128 to 255 are for questions and meta data; OPT and 0 stand in no zone either.
        if 128 <= rdtype <= 255 or rdtype in (0, constants.OPT):
            raise _Fault("not-data", f"{text} is not a type of zone data")
        self._types[text] = int(rdtype)
        return int(rdtype)

    @staticmethod
    def _rdata(tokens: dns.tokenizer.Tokenizer, rdtype: int, kind: str, origin: dns.name.Name) -> dns.rdata.Rdata:
        try:
            rdata = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.RdataType(rdtype), tokens, origin, False)
        except (dns.exception.DNSException, ValueError) as error:
            raise _Fault("bad-rdata", f"the data of the {kind} record cannot be read: {_text_of(error)}") from None
        return rdata

    def _report(self, file: str, line: int, problem_id: str, message: str, *, owner: bytes | None = None) -> None:
        place = names.to_text(owner or self._gathering.apex)
        self._gathering.problem(file, line, place=place, problem_id=problem_id, message=message)


def _ttl_and_type(tokens: dns.tokenizer.Tokenizer, token: dns.tokenizer.Token) -> tuple[int | None, str]:
    ttl: int | None = None
    class_seen = False
    while True:
        if not token.is_identifier():
            raise _Fault(
                "zone-syntax",
                "the line ends before the record's type"
                if token.is_eol_or_eof()
                else "a quoted string stands where the record's type is expected",
            )
        text = token.value.upper()
        if ttl is None and text[0].isdecimal():  # no type begins with a digit
            ttl = _ttl(text)
        elif not class_seen and (text == "IN" or text == "CLASS1"):
            class_seen = True
        elif text in _OTHER_CLASSES or text.startswith("CLASS"):
            raise _Fault("class-not-in", f"class {text} is not served; every record must be of class IN")
        else:
            return ttl, text
        token = tokens.get()


def _ttl(text: str) -> int:
    """Read a TTL in seconds, with or without units.

    Raises:
        _Fault: malformed, or beyond what RFC 2181 §8 allows.
    """
    try:
        ttl = dns.ttl.from_text(text)
    except (dns.exception.DNSException, ValueError):
        ttl = -1
    if not 0 <= ttl <= MAX_TTL_SECONDS:
        raise _Fault("bad-ttl", f"{text!r} is not a TTL: 0 to {MAX_TTL_SECONDS} seconds, or as 1h30m")
    return ttl


def _as_written(token: dns.tokenizer.Token) -> str:
    return f'"{token.value}"' if token.is_quoted_string() else str(token.value)


def _text_of(error: Exception) -> str:
    return str(error) or type(error).__name__
