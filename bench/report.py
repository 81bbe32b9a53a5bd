"""The page of results: tables in Markdown, a section for each part, and parts that did not run left as they were."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HEAD = """\
# Results

Written by `make bench`; [README.md](README.md) says what each part measures. Figures of different machines cannot be
compared, and those of different runs on one only roughly: the ratios within a part are what counts.
"""

_MARK = re.compile(r"^<!-- part: (\S+) -->\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under headings; the first column is words, the others are figures."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def render(self) -> str:
        """Return it as Markdown."""
        line = ["---", *("---:" for _ in self.headings[1:])]
        return "\n".join("| " + " | ".join(row) + " |" for row in (self.headings, line, *self.rows))


@dataclass(frozen=True, slots=True)
class Section:
    """What a part has found.

    Args:
        title: its heading.
        body: tables and sentences, as paragraphs.
    """

    title: str
    body: Sequence[Table | str]

    def render(self, measured: str) -> str:
        """Return it as Markdown, with a line on where and when it was measured."""
        paragraphs = [part.render() if isinstance(part, Table) else part for part in self.body]
        return "\n\n".join([f"## {self.title}", *paragraphs, measured]) + "\n"


def read_sections(page: str) -> dict[str, str]:
    """Return the sections of a page of results by part."""
    pieces = _MARK.split(page)[1:]
    return {name: text.strip("\n") + "\n" for name, text in zip(pieces[::2], pieces[1::2], strict=True)}


def render_page(order: Sequence[str], sections: Mapping[str, str]) -> str:
    """Return the page with the sections that there are, in order."""
    parts = [f"<!-- part: {name} -->\n{sections[name]}" for name in order if name in sections]
    return "\n".join([HEAD, *parts])
