"""Reads master files (RFC 1035 §5) statement by statement, and obeys their directives.

Simple lines, nearly all of a large zone, are read by `dnsd.zonefile.simple`. Of the others, dnspython's tokenizer
splits the text, and its record types read the RDATA. Its own zone reader is not used: that one stops at the first
error, drops records outside the zone without a word, and deletes what clashes with a CNAME. Here a bad statement is
recorded with its file and line, and reading goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dns.exception
import dns.name
import dns.tokenizer

from dnsd.core import names
from dnsd.zonefile.files import read_regular, why_unreadable
from dnsd.zonefile.gathering import Gathering
from dnsd.zonefile.generate import generated_lines
from dnsd.zonefile.octets import text_of as text_of_octets
from dnsd.zonefile.record import RecordReader
from dnsd.zonefile.simple import SimpleLines
from dnsd.zonefile.source import Source
from dnsd.zonefile.statement import Fault, Scope, is_relative, parse_ttl, text_of

# Files within files. RFC 1035 §5.1 sets no limit; NSD stops at 10. Unit: levels below the zone's own file.
MAX_INCLUDE_DEPTH = 32

# Files that include others twice double with each level. Unit: `$INCLUDE` directives obeyed for one zone.
MAX_INCLUDES = 10_000


class MasterFileReader:
    """Reads one zone's master file, and what it includes, into a gathering.

    Args:
        gathering: receives records, problems and warnings.
    """

    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
        self._records = RecordReader(gathering)
        self._simple = SimpleLines(gathering)
        self._origin = dns.name.from_wire(gathering.apex, 0)[0]
        self._open: list[Path] = []
        self._includes = 0
        self._directives: dict[str, Callable[[Source, Scope], None]] = {
            "$TTL": self._ttl_directive,
            "$ORIGIN": self._origin_directive,
            "$INCLUDE": self._include_directive,
            "$GENERATE": self._generate_directive,
        }

    def read(self, path: Path) -> None:
        """Read the zone's master file; whatever is wrong with it becomes a problem of the gathering."""
        try:
            self._read_file(path, Scope(self._origin))
        except Fault as fault:
            self._report(str(path), 0, fault)

    def _read_file(self, path: Path, scope: Scope) -> None:
        """Read one file.

        Raises:
            Fault: it cannot be read, or is being read already.
        """
        try:
            resolved = path.resolve()
            if resolved in self._open:
                raise Fault("include-loop", f"{path} includes itself, directly or through other files")
            text = text_of_octets(read_regular(path))
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links that lead to each other
            raise Fault("unreadable", f"{path} cannot be read: {why_unreadable(error)}") from None
        self._open.append(resolved)
        self._statements(Source(path, text), scope)
        self._open.pop()

    def _statements(self, source: Source, scope: Scope) -> None:
        more = True
        while more:
            offset, line = self._simple.read(source.text, source.offset, scope, file=source.label, line=source.line)
            source.skip_to(offset, line=line)
            try:
                more = self._statement(source, scope)
            except Fault as fault:
                self._report(source.label, line, fault)
                source.resume_behind(line)
            except (dns.exception.DNSException, ValueError) as error:
                self._report(source.label, line, Fault("zone-syntax", f"the line cannot be read: {text_of(error)}"))
                source.resume_behind(line)

    def _statement(self, source: Source, scope: Scope) -> bool:
        """Read up to the end of a statement; return False at the end of the file."""
        line = source.line
        token = source.tokens.get(want_leading=True)
        if token.is_eol_or_eof():
            return bool(token.is_eol())
        if token.is_identifier() and token.value[0] == "$":
            directive = self._directives.get(token.value.upper())
            if directive is None:
                known = ", ".join(self._directives)
                raise Fault("unknown-directive", f"{token.value} is not a directive; there are {known}")
            directive(source, scope)
        else:
            self._records.read(source.tokens, token, scope, file=source.label, line=line)
        return True

    def _ttl_directive(self, source: Source, scope: Scope) -> None:
        try:
            scope.default_ttl = parse_ttl(source.tokens.get_identifier())
            source.tokens.get_eol()
        except (Fault, dns.exception.DNSException):
            scope.excuse_missing_ttls()
            raise

    def _origin_directive(self, source: Source, scope: Scope) -> None:
        lost, scope.origin_lost = scope.origin_lost, True
        token = source.tokens.get()
        origin = source.tokens.as_name(token, scope.origin)
        source.tokens.get_eol()
        scope.origin = origin
        scope.origin_lost = lost and is_relative(token.value)

    def _include_directive(self, source: Source, scope: Scope) -> None:
        token = source.tokens.get()
        if token.is_eol_or_eof():
            raise Fault("zone-syntax", "$INCLUDE needs the name of a file")
        path = source.path.parent / token.unescape().value
        inner = replace(scope)
        token = source.tokens.get()
        if not token.is_eol_or_eof():
            inner.origin = source.tokens.as_name(token, scope.origin)
            inner.origin_lost = scope.origin_lost and is_relative(token.value)
            source.tokens.get_eol()
        if len(self._open) > MAX_INCLUDE_DEPTH:
            raise Fault("include-depth", f"{path} is included more than {MAX_INCLUDE_DEPTH} files deep")
        self._includes += 1
        if self._includes > MAX_INCLUDES:
            self._gathering.lose(None, None)
            if self._includes > MAX_INCLUDES + 1:
                return  # it is said once, and not for each of what may be billions
            raise Fault("too-many-includes", f"the zone has more than {MAX_INCLUDES} $INCLUDE directives")
        # RFC 1035 §5.1: an include "never changes the relative origin of the parent file"; nor do its owner and TTL.
        self._read_file(path, inner)

    def _generate_directive(self, source: Source, scope: Scope) -> None:
        line = source.line
        words = [_as_written(token) for token in source.tokens.get_remaining()]
        source.tokens.get_eol()
        problems = len(self._gathering.problems)
        try:
            for text in generated_lines(words):
                self._generated(text, scope, file=source.label, line=line)
                if len(self._gathering.problems) > problems:
                    break  # what is wrong with one of them is wrong with most, and they share a line
        except ValueError as error:
            raise Fault("bad-generate", str(error)) from None

    def _generated(self, text: str, scope: Scope, *, file: str, line: int) -> None:
        end, _ = self._simple.read(text + "\n", 0, scope, file=file, line=line)
        if end <= len(text):
            tokens = dns.tokenizer.Tokenizer(text)
            self._records.read(tokens, tokens.get(want_leading=True), scope, file=file, line=line)

    def _report(self, file: str, line: int, fault: Fault) -> None:
        if fault.loses:
            self._gathering.lose(fault.owner, fault.rdtype)
        place = names.to_text(fault.owner or self._gathering.apex)
        self._gathering.problem(file, line, place=place, problem_id=fault.problem_id, message=str(fault))


def _as_written(token: dns.tokenizer.Token) -> str:
    return f'"{token.value}"' if token.is_quoted_string() else str(token.value)
