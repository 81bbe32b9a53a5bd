"""Where in a TOML file a key stands: `tomllib` gives values without their lines.

It scans text that `tomllib` has already accepted, so it need not tell good TOML from bad; on other text what it
returns means nothing. It knows nothing of what the keys mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# A key's place: names of tables and keys, and indices of arrays, as in ("pool", 2, "role").
Path = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_FILL = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")  # between statements, and within arrays
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_LITERAL = re.compile(r"'([^'\n]*)'")
# Up to two quotes may stand before the three that end the string.
_LONG_BASIC = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:""?(?!"))?', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''.*?'''(?:''?(?!'))?", re.DOTALL)
_SCALAR = re.compile(r"[^,\]}#\n]+")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


def locate_keys(text: str) -> Mapping[Path, int]:
    """Return the line, counted from 1, of every table, key and array item.

    Args:
        text: a TOML document that `tomllib` accepts.
    """
    return _Scan(text).run()


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of a key, else of what it is in; 0 where that is the document itself."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 0


class _Scan:
    """One pass over a document."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}  # of the arrays of tables
        self._line = 1
        self._counted = 0  # the offset up to which newlines are counted

    def run(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_FILL)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_FILL)
        return self.lines

    def _header(self) -> Path:
        line = self._line_here()
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        keys = self._dotted_key()
        self.at += 2 if array else 1
        parent: Path = ()
        for key in keys[:-1]:
            parent = self._latest((*parent, key))
            self.lines.setdefault(parent, line)
        path: Path = (*parent, keys[-1])
        self.lines.setdefault(path, line)
        if array:
            self._counts[path] = self._counts.get(path, -1) + 1
        path = self._latest(path)
        self.lines.setdefault(path, line)
        return path

    def _latest(self, path: Path) -> Path:
        """Return the path of a table, or of the last one so far if it is an array of tables."""
        return (*path, self._counts[path]) if path in self._counts else path

    def _pair(self, table: Path) -> None:
        line = self._line_here()
        path = table
        for key in self._dotted_key():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self.at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(path)

    def _dotted_key(self) -> list[str]:
        keys = [self._key()]
        self._skip(_BLANK)
        while self.text[self.at] == ".":
            self.at += 1
            keys.append(self._key())
            self._skip(_BLANK)
        return keys

    def _key(self) -> str:
        self._skip(_BLANK)
        if match := _BASIC.match(self.text, self.at):
            self.at = match.end()
            return _ESCAPE.sub(_unescaped, match[1])
        if match := _LITERAL.match(self.text, self.at):
            self.at = match.end()
            return match[1]
        return self._skip(_BARE_KEY)

    def _value(self, path: Path) -> None:
        first = self.text[self.at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        elif first in "\"'":
            for pattern in (_LONG_BASIC, _LONG_LITERAL, _BASIC, _LITERAL):
                if self._skip(pattern):
                    return
        else:
            self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        self._skip(_FILL)
        while self.text[self.at] != "]":
            item: Path = (*path, index)
            self.lines[item] = self._line_here()
            self._value(item)
            self._next_item()
            index += 1
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        self._skip(_FILL)
        while self.text[self.at] != "}":
            self._pair(path)
            self._next_item()
        self.at += 1

    def _next_item(self) -> None:
        self._skip(_FILL)
        if self.text[self.at] == ",":
            self.at += 1
            self._skip(_FILL)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def _line_here(self) -> int:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    if code:
        return chr(int(code, 16))
    return _ESCAPED.get(match[3], match[3])
