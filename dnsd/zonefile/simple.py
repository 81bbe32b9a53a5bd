"""Reads the simple lines of a master file, which are nearly all of a large zone, without a tokenizer.

A line is simple where it is one whole record of a common type, with nothing in it that has to be looked at twice: no
escape, no parenthesis, no error. Whatever it is not sure of it leaves to `RecordReader`, so that what is right and what
is reported is decided in one place. It must come to exactly what that one comes to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from socket import AF_INET, AF_INET6, inet_pton

import dns.name

from dnsd.core import constants, names
from dnsd.zonefile.gathering import Gathered, Gathering
from dnsd.zonefile.rdata import MAX_RDATA_SIZE
from dnsd.zonefile.statement import Fault, Scope, parse_ttl

# Owner or white space; TTL and class in any order; type; the data with what follows it.
_RECORD = re.compile(
    r"(@|[A-Za-z0-9_*][A-Za-z0-9_.*-]*)?[ \t]+"
    r"(?:([0-9][0-9A-Za-z]*)[ \t]+(?:[Ii][Nn][ \t]+)?|[Ii][Nn][ \t]+(?:([0-9][0-9A-Za-z]*)[ \t]+)?)?"
    r"([A-Za-z]+)[ \t]+([^\n]+)\n"
)
_EMPTY = re.compile(r"(?:[ \t]*(?:;[^\n]*)?\n)+")

_NAME = re.compile(r"@|[A-Za-z0-9_.-]+")
_IPV6 = re.compile(r"[0-9A-Fa-f:]+")
_MX = re.compile(r"([0-9]{1,5})[ \t]+([^ \t]+)")
_SRV = re.compile(r"([0-9]{1,5})[ \t]+([0-9]{1,5})[ \t]+([0-9]{1,5})[ \t]+([^ \t]+)")

# Strings in quotes, where semicolons and parentheses are text, or words; and a comment.
_STRING = r'(?:"[ !#-\[\]-~]*"|[!#-\'*-:<-\[\]-~]+)'
_STRINGS = re.compile(rf"({_STRING}(?:[ \t]+{_STRING})*)[ \t]*(?:;.*)?")
_EACH_STRING = re.compile(r'"([^"]*)"|([^ \t]+)')
_MAX_STRING_SIZE = 255  # RFC 1035 §3.3

_SIZES = tuple(bytes([size]) for size in range(constants.MAX_LABEL_SIZE + 1))

# RDATA as written, and canonical (RFC 4034 §6.2).
_Rdata = tuple[bytes, bytes]


class _NotSimple(Exception):
    """The line is for `RecordReader`."""


class SimpleLines:
    """Reads simple lines into a gathering.

    Args:
        gathering: receives the records.
    """

    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
        self._ttls: dict[str, int] = {}
        self._origin: dns.name.Name | None = None
        self._origin_wire = self._origin_folded = b""
        self._origin_inside = False
        readers: dict[str, tuple[int, Callable[[str], _Rdata]]] = {
            "A": (constants.A, _ipv4),
            "AAAA": (constants.AAAA, _ipv6),
            "NS": (constants.NS, self._name),
            "CNAME": (constants.CNAME, self._name),
            "PTR": (constants.PTR, self._name),
            "MX": (constants.MX, self._mx),
            "SRV": (constants.SRV, self._srv),
            "TXT": (constants.TXT, _txt),
        }
        self._readers = readers | {kind.lower(): reader for kind, reader in readers.items()}

    def read(self, text: str, offset: int, scope: Scope, *, file: str, line: int) -> tuple[int, int]:
        """Read simple lines as far as they go.

        Args:
            offset: where in the text a statement begins.
            scope: what holds before it, and then what holds behind what was read.
            file, line: where it stands.

        Returns:
            Offset and line of the first statement that was not read.
        """
        if scope.origin_lost or scope.owner_lost:
            return offset, line
        self._take_origin(scope.origin)
        record, records, readers = _RECORD.match, self._gathering.records, self._readers
        owner, owner_text = scope.owner, None
        if owner is not None and not names.is_at_or_below(owner, self._gathering.apex):
            owner = None
        try:
            while True:
                found = record(text, offset)
                if found is None:
                    empty = _EMPTY.match(text, offset)
                    if empty is None:
                        break
                    line += text.count("\n", offset, empty.end())
                    offset = empty.end()
                    continue
                stated, ttl_text, ttl_behind_class, kind, data = found.groups()
                reader = readers.get(kind)
                if reader is None:
                    break
                if stated is not None and stated != owner_text:
                    owner, owner_text = self._owner(stated), stated
                if owner is None:
                    break
                rdtype, read_rdata = reader
                rdata, canonical = read_rdata(data)
                ttl = self._ttl(ttl_text or ttl_behind_class, scope)
                # From here on it is simple, and the scope may change.
                scope.owner = owner
                key = (owner, rdtype)
                if key in records:
                    self._gathering.add(owner, rdtype, ttl=ttl, rdata=rdata, canonical=canonical, file=file, line=line)
                else:
                    records[key] = Gathered(ttl, rdata, canonical, file, line)
                offset = found.end()
                line += 1
        except _NotSimple:
            pass
        return offset, line

    def _take_origin(self, origin: dns.name.Name) -> None:
        if origin is not self._origin:
            self._origin = origin
            self._origin_wire = origin.to_wire() or b""
            self._origin_folded = origin.to_digestable()
            self._origin_inside = names.is_at_or_below(self._origin_folded, self._gathering.apex)

    def _owner(self, text: str) -> bytes:
        """Return the folded name of an owner within the zone."""
        owner = _wire(text.lower(), self._origin_folded)
        inside = self._origin_inside and not text.endswith(".")
        if not inside and not names.is_at_or_below(owner, self._gathering.apex):
            raise _NotSimple
        return owner

    def _ttl(self, text: str | None, scope: Scope) -> int:
        """Return the TTL of a record, and remember a stated one; the last thing that may not be simple."""
        if text is None:
            implicit = scope.implicit_ttl
            if implicit is None:
                raise _NotSimple
            return implicit
        ttl = self._ttls.get(text)
        if ttl is None:
            try:
                ttl = self._ttls[text] = parse_ttl(text.upper())
            except Fault:
                raise _NotSimple from None
        scope.last_ttl = ttl
        return ttl

    def _name(self, data: str) -> _Rdata:
        if not _NAME.fullmatch(data):
            data = _without_comment(data)
            if not _NAME.fullmatch(data):
                raise _NotSimple
        wire = _wire(data, self._origin_wire)
        return wire, wire if wire.islower() else wire.lower()

    def _mx(self, data: str) -> _Rdata:
        found = _MX.fullmatch(_without_comment(data))
        if found is None:
            raise _NotSimple
        return self._behind(_number(found[1]), found[2])

    def _srv(self, data: str) -> _Rdata:
        found = _SRV.fullmatch(_without_comment(data))
        if found is None:
            raise _NotSimple
        return self._behind(_number(found[1]) + _number(found[2]) + _number(found[3]), found[4])

    def _behind(self, numbers: bytes, name: str) -> _Rdata:
        if not _NAME.fullmatch(name):
            raise _NotSimple
        wire, canonical = self._name(name)
        rdata = numbers + wire
        return rdata, rdata if canonical is wire else numbers + canonical


def _without_comment(data: str) -> str:
    """Return data in which no semicolon can be text."""
    return data.partition(";")[0].rstrip(" \t")


def _wire(text: str, origin: bytes) -> bytes:
    """Return a name of letters, digits, hyphens, underscores and asterisks in wire form.

    Args:
        origin: what it ends in where it has no dot at its end; in wire form.
    """
    if text == "@":
        return origin
    if text == ".":
        return names.ROOT
    labels = text.encode().split(b".")
    if not labels[-1]:
        labels.pop()
        origin = names.ROOT
    parts: list[bytes] = []
    for label in labels:
        if not 0 < len(label) <= constants.MAX_LABEL_SIZE:
            raise _NotSimple
        parts += (_SIZES[len(label)], label)
    wire = b"".join(parts) + origin
    if len(wire) > constants.MAX_NAME_SIZE:
        raise _NotSimple
    return wire


def _number(text: str) -> bytes:
    number = int(text)
    if number > 0xFFFF:
        raise _NotSimple
    return number.to_bytes(2, "big")


def _ipv4(data: str) -> _Rdata:
    try:
        wire = inet_pton(AF_INET, _without_comment(data))
    except (OSError, ValueError):
        raise _NotSimple from None
    return wire, wire


def _ipv6(data: str) -> _Rdata:
    text = _without_comment(data)
    # An IPv4 address at its end, or a scope, is for those who know more of it.
    if not _IPV6.fullmatch(text):
        raise _NotSimple
    try:
        wire = inet_pton(AF_INET6, text)
    except OSError:
        raise _NotSimple from None
    return wire, wire


def _txt(data: str) -> _Rdata:
    found = _STRINGS.fullmatch(data)
    if found is None:
        raise _NotSimple
    parts: list[bytes] = []
    for quoted, word in _EACH_STRING.findall(found[1]):
        string = (quoted or word).encode()
        if len(string) > _MAX_STRING_SIZE:
            raise _NotSimple
        parts += (bytes((len(string),)), string)
    wire = b"".join(parts)
    if len(wire) > MAX_RDATA_SIZE:
        raise _NotSimple
    return wire, wire
