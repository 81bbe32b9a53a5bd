"""Reading server-sent events: bytes in, messages out (WHATWG HTML §9.2, "Server-sent events").

It knows nothing of connections, nor of what the messages mean.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

# More text than this without an end is not an event of ours. Unit: characters.
MAX_EVENT_SIZE = 1_048_576

_LINE_END = re.compile(r"\r\n|\n|\r")


class EventTooLarge(ValueError):
    """A line or a message that exceeds `MAX_EVENT_SIZE`."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Args:
        data: its data lines, joined by newlines.
        event: its type; `message` where none is named.
        id: the last id that the stream has named; empty: none.
    """

    data: str
    event: str
    id: str


class EventStream:
    """The reader of one connection's stream.

    Args:
        last_id: the id that the previous connection ended with.
    """

    def __init__(self, *, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_seconds: float | None = None  # the server's wish for the pause before the next connection
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._rest = ""
        self._after_cr = False
        self._data: list[str] = []
        self._size = 0
        self._event = ""

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Take bytes as they came and yield the messages that they complete.

        Raises:
            EventTooLarge: the stream cannot be read further.
        """
        for line in self._lines(self._decoder.decode(chunk)):
            message = self._take(line)
            if message is not None:
                yield message
        if len(self._rest) > MAX_EVENT_SIZE:
            raise EventTooLarge(f"a line has more than {MAX_EVENT_SIZE} characters")

    def _lines(self, text: str) -> list[str]:
        if not text:
            return []
        # A CR has ended its line at once; the LF that follows it in the next chunk belongs to it.
        if self._after_cr and text.startswith("\n"):
            text = text[1:]
        self._after_cr = text.endswith("\r")
        *lines, self._rest = _LINE_END.split(self._rest + text)
        return lines

    def _take(self, line: str) -> Message | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")  # a comment has the empty name, and falls through below
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
                self._size += len(value)
                if self._size > MAX_EVENT_SIZE:
                    raise EventTooLarge(f"a message has more than {MAX_EVENT_SIZE} characters")
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self.last_id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_seconds = int(value) / 1000
        return None

    def _dispatch(self) -> Message | None:
        data, event = self._data, self._event
        self._data, self._event, self._size = [], "", 0
        return Message("\n".join(data), event or "message", self.last_id) if data else None
