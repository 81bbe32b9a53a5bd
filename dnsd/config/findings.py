"""Collects what is wrong with one configuration file, each problem with its line and its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from dnsd.config.locator import Path, line_of
from dnsd.errors import Problem

# What a value should have been, by pydantic's name for the fault, in the words of the file's author.
EXPECTED = {
    "string_type": "should be text, in quotes",
    "int_type": "should be an integer",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "list_type": "should be a list, in brackets",
    "dict_type": "should be a table, in braces",
}


class Findings:
    """The problems and warnings of a configuration file.

    Args:
        file: its path as the operator gave it.
        lines: where its keys stand.
    """

    def __init__(self, file: str, lines: Mapping[Path, int]) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._file = file
        self._lines = lines
        self._claimed: dict[str, Path] = {}

    def problem(self, path: Path, problem_id: str, *, message: str) -> None:
        """Keep a reason why the configuration cannot be used.

        Args:
            path: the key that it concerns; where the file lacks it, the table around it names the line.
            problem_id: stable, as documented for users.
            message: one sentence in plain words.
        """
        self.problems.append(self._found(path, problem_id, message))

    def warning(self, path: Path, problem_id: str, *, message: str) -> None:
        """Keep what is odd but serves."""
        self.warnings.append(self._found(path, problem_id, message))

    def misshapen(
        self, path: Path, kind: str, message: str, *, known: Iterable[str], expected: Mapping[str, str] = EXPECTED
    ) -> None:
        """Keep what pydantic says of a key: that it is missing, unknown, of another type, or has a value that is none.

        Args:
            kind, message: pydantic's.
            known: keys that may stand there, for a suggestion.
            expected: what the value should have been, by kind; of other kinds pydantic's own words are told.
        """
        if kind == "missing":
            self.problem(path, "missing-key", message=f'the key "{path[-1]}" is missing')
        elif kind == "extra_forbidden":
            hint = suggestion(str(path[-1]), known=known)
            self.problem(path, "unknown-key", message=f'there is no key "{path[-1]}" here{hint}')
        else:
            problem_id = "wrong-type" if kind.endswith("_type") or kind == "value_error" else "bad-value"
            text = expected.get(kind, message.removeprefix("Value error, ").removeprefix("Input "))
            self.problem(path, problem_id, message=text)

    def line(self, path: Path) -> int:
        """Return the line of a key, as messages about another key name it."""
        return line_of(self._lines, path)

    def claim(self, what: str, path: Path) -> str | None:
        """Take note that a key has what only one may have; return the place of another one that has it already."""
        first = self._claimed.setdefault(what, path)
        return None if first == path else place_of(first)

    def _found(self, path: Path, problem_id: str, message: str) -> Problem:
        return Problem(self._file, line_of(self._lines, path), place_of(path), problem_id, message)


def place_of(path: Path) -> str:
    """Write a path as operators read it: `pool[2].role`; indices count from 0."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def suggestion(word: str, *, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` where a known word is near, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
