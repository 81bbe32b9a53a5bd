"""One master file while it is read: its text, the tokenizer over it, and where to go on behind a faulty record.

It knows how records are delimited (RFC 1035 §5.1) and nothing of what they mean.
"""

from __future__ import annotations

import io
from pathlib import Path

import dns.tokenizer


class Source:
    r"""A master file's text under a tokenizer.

    Args:
        path: where it was read from; `$INCLUDE` is relative to its folder.
        text: its whole content, with newlines as `\n`.
    """

    __slots__ = ("_offsets", "_stream", "label", "path", "text", "tokens")

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.label = str(path)
        self.text = text
        self._stream = io.StringIO(text)
        self._offsets: list[int] | None = None
        self.tokens = dns.tokenizer.Tokenizer(self._stream, self.label)

    @property
    def line(self) -> int:
        """The line, counted from 1, in which the next statement begins; asked between two statements."""
        return self.tokens.line_number

    @property
    def offset(self) -> int:
        """Where in the text the next statement begins; asked between two statements."""
        return self._stream.tell() - (self.tokens.ungotten_char is not None)

    def skip_to(self, offset: int, *, line: int) -> None:
        """Go on with the statement that begins at an offset of the text; called between two statements.

        Args:
            line: that of the statement.
        """
        self._stream.seek(offset)
        self.tokens.ungotten_char = None
        self.tokens.line_number = line

    def resume_behind(self, line: int) -> None:
        """Go on reading behind the record that begins in a line.

        A tokenizer that has met an error may have taken the end of the line or not, and may believe itself inside
        quotes. So the end of the record is found anew, and a fresh tokenizer starts there.
        """
        if self._offsets is None:
            self._offsets = _line_offsets(self.text)
        start = self._offsets[line - 1]
        end = _end_of_record(self.text, start)
        self._stream.seek(end)
        self.tokens = dns.tokenizer.Tokenizer(self._stream, self.label)
        self.tokens.line_number = line + self.text.count("\n", start, end)


def _line_offsets(text: str) -> list[int]:
    offsets = [0]
    while end := text.find("\n", offsets[-1]) + 1:
        offsets.append(end)
    return offsets


def _end_of_record(text: str, start: int) -> int:
    """Return the offset behind the newline that ends a record, or behind its first line if its parentheses never do."""
    depth = 0
    quoted = False
    offset = start
    while offset < len(text):
        char = text[offset]
        if char == "\\" and text[offset + 1 : offset + 2] != "\n":
            offset += 1
        elif char == "\n":
            quoted = False  # a quoted string ends with its line, if only by error
            if depth <= 0:
                return offset + 1
        elif char == '"':
            quoted = not quoted
        elif not quoted and char == ";":
            offset = _line_end(text, offset) - 1
        elif not quoted and char in "()":
            depth += 1 if char == "(" else -1
        offset += 1
    return min(_line_end(text, start) + 1, len(text)) if depth > 0 else len(text)


def _line_end(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end
