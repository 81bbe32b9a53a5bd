"""How anything is printed: tables, times, JSON and complaints, for a terminal or for a pipe.

A terminal gets colour and fitted tables. A pipe gets aligned text that stays the same whatever the width, one row a
line, nothing left out. What others wrote (reasons, names) never reaches a terminal as control characters.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import click

from dnsd.model.times import format_duration

if TYPE_CHECKING:
    from pydantic import BaseModel

NOTHING = "-"

# On a terminal only: words that say in which state a thing is.
STYLE_OF_WORD = {
    "draining": "yellow",
    "maintenance": "red",
    "down": "red",
    "stale": "red",
    "up": "green",
    "scheduled": "cyan",
}


class Column(NamedTuple):
    """A column of a table.

    Args:
        title: in capitals.
        right: align to the right, as numbers are.
    """

    title: str
    right: bool = False


def clean(text: str) -> str:
    """Return text on one line and without control characters, which could steer the reader's terminal."""
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs") else char
        for char in text
    )


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, err: bool = False) -> None:
    """Print a table; an empty cell shows as a dash.

    Args:
        err: to standard error.
    """
    cells = [[clean(cell) or NOTHING for cell in row] for row in rows]
    if (sys.stderr if err else sys.stdout).isatty():
        _show_on_terminal(columns, cells, err=err)
    else:
        click.echo("\n".join(_plain_lines(columns, cells)), err=err)


def _plain_lines(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> list[str]:
    titles = [column.title for column in columns]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    lines = []
    for row in (titles, *cells):
        padded = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


def _show_on_terminal(columns: Sequence[Column], cells: Sequence[Sequence[str]], *, err: bool) -> None:
    # Only here: half of the start-up time of a listing would be the import.
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell, style=STYLE_OF_WORD.get(cell, "")) for cell in row))
    Console(stderr=err).print(table)


def show_json(document: BaseModel) -> None:
    """Print a document of the interface with the members that the server sent."""
    click.echo(document.model_dump_json(indent=2, exclude_unset=True))


def complain(text: str, *, hint: str | None = None) -> None:
    """Print one line to standard error, and what to do about it on a second one."""
    click.echo(f"dnsd: {clean(text)}", err=True)
    if hint:
        click.echo(f"  hint: {clean(hint)}", err=True)


def absolute(instant: float) -> str:
    """Write an instant for people: RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(int(instant), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(instant: float, *, now: float) -> str:
    """Write an instant by its distance and by the clock, as `in 3h59m (18:02:11Z)`; another day with its date."""
    text = absolute(instant)
    shown = text.partition("T")[2] if text[:10] == absolute(now)[:10] else text
    distance = format_duration(abs(instant - now))
    relative = "now" if distance == "0s" else f"in {distance}" if instant > now else f"{distance} ago"
    return f"{relative} ({shown})"


def milliseconds(value: float | None) -> str:
    """Write a lag: `3 ms`, or as a duration from ten seconds on; None: not known."""
    if value is None:
        return NOTHING
    return f"{value:.0f} ms" if value < 10_000 else format_duration(value / 1000)
