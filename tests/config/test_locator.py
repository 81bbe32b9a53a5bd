"""The lines of keys in TOML text."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnsd.config.locator import Path as KeyPath
from dnsd.config.locator import line_of, locate_keys

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"

TRICKY = '''# comment [not.a.header]
a = """
b = 1 \\" [[x]]
""""
c = \'\'\'
[d]
\'\'\'
"quoted key" = '# no comment'  # x = 1
e.f."g.h" = 1 # dotted
arr = [ # comment ]
  1, "]", # ,
  [2,
   3],
  { k = 1, l = { m = [4] } },
]
[t]
x = 2020-01-01 00:00:00
[[t.many]]
y = 1
[t.many.sub]
z = ""
[[t.many]]
y = {}
  [[t.many.inner]]
  w = -inf
[ "sp aced" . u ]
v = \'\'
last = "\\u00e9\\"" # end'''

LINES: list[tuple[KeyPath, int]] = [
    (("a",), 2),
    (("c",), 5),
    (("quoted key",), 8),
    (("e",), 9),
    (("e", "f", "g.h"), 9),
    (("arr",), 10),
    (("arr", 0), 11),
    (("arr", 1), 11),
    (("arr", 2), 12),
    (("arr", 2, 1), 13),
    (("arr", 3, "k"), 14),
    (("arr", 3, "l", "m", 0), 14),
    (("t",), 16),
    (("t", "x"), 17),
    (("t", "many"), 18),
    (("t", "many", 0, "y"), 19),
    (("t", "many", 0, "sub", "z"), 21),
    (("t", "many", 1), 22),
    (("t", "many", 1, "y"), 23),
    (("t", "many", 1, "inner", 0, "w"), 25),
    (("sp aced", "u", "v"), 27),
    (("sp aced", "u", "last"), 28),
]


@pytest.mark.parametrize(("path", "line"), LINES)
def test_a_key_is_found_in_its_line(path: KeyPath, line: int) -> None:
    """Strings over several lines, dotted keys, nested arrays and tables keep their lines."""
    assert locate_keys(TRICKY)[path] == line


def test_every_value_is_located_and_nothing_else() -> None:
    """The places found are exactly those that TOML gives."""
    for text in (TRICKY, EXAMPLE.read_text()):
        assert set(locate_keys(text)) == set(_paths(tomllib.loads(text)))


def test_what_is_missing_has_the_line_of_what_it_is_missing_in() -> None:
    """A path that is not there takes the line of its table; nothing names the document as a whole."""
    lines = locate_keys(TRICKY)
    assert line_of(lines, ("t", "many", 1, "gone")) == 22
    assert line_of(lines, ("gone", 0)) == 0


def test_every_key_of_the_example_stands_in_its_line() -> None:
    """In the example, each key's line is the one in which it is written."""
    text = EXAMPLE.read_text()
    written = text.split("\n")
    lines = locate_keys(text)
    keys = [path for path in lines if isinstance(path[-1], str)]
    assert len(keys) > 100
    for path in keys:
        assert str(path[-1]) in written[lines[path] - 1], path


def test_the_nth_node_of_the_example_stands_at_the_nth_header() -> None:
    """Tables of one array are told apart."""
    text = EXAMPLE.read_text()
    headers = [number for number, line in enumerate(text.split("\n"), start=1) if line == "[[node]]"]
    lines = locate_keys(text)
    assert headers == [lines["node", index] for index in range(len(headers))]


def _paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*path, key))
