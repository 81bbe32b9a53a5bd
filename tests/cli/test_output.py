"""How times and tables are written, for a terminal and for a pipe."""

from __future__ import annotations

import io
import sys

import pytest

from dnsd.cli.output import Column, clean, milliseconds, moment, show_table
from tests.cli.fakeserver import START


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (4 * 3600 - 60, "in 3h59m (15:59:00Z)"),
        (-5, "5s ago (11:59:55Z)"),
        (0.2, "now (12:00:00Z)"),
        (2 * 86400 + 3 * 3600, "in 2d3h (2026-02-02T15:00:00Z)"),
        (-86400, "1d ago (2026-01-30T12:00:00Z)"),
    ],
)
def test_a_moment_is_relative_and_absolute(offset: float, text: str) -> None:
    """An instant is told by its distance and by the clock, with the date where it is another day."""
    assert moment(START + offset, now=START) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.4, "0 ms"), (3.2, "3 ms"), (9999, "9999 ms"), (125_000, "2m5s")]
)
def test_a_lag_is_told_in_a_fitting_unit(value: float | None, text: str) -> None:
    """Milliseconds while they mean something, a duration beyond, a dash where it is not known."""
    assert milliseconds(value) == text


def test_control_characters_are_escaped_and_letters_kept() -> None:
    """Escapes, line breaks and direction marks become visible; other languages stay as they are."""
    assert clean("a\x1b[2Jb\r\nc\u202ed → Größe 東京") == r"a\x1b[2Jb\r\nc\u202ed → Größe 東京"


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_fitted_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal states have a colour, markup in a cell is not obeyed, and a long cell is folded, not cut."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)
    show_table([Column("MODE"), Column("N", right=True), Column("REASON")], [("draining", "7", "[bold]" + "x" * 60)])
    shown = terminal.getvalue()
    assert "\x1b[33mdraining\x1b[0m" in shown
    assert "[bold]" in shown
    assert shown.count("x") == 60
