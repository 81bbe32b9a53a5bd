"""The `console` blocks of documents as sessions: commands, each with what it prints, but for what differs between runs.

It knows no server: whoever runs a session brings the shell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tests.docs.blocks import blocks_of

# Differs from run to run: the pattern, and what stands for it in a comparison.
_MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"\bafter [\d.]+ m?s\b"), "after <lag>"),
    (re.compile(r'"lag_ms":[\d.]+'), '"lag_ms":<lag>'),
    (re.compile(r"\b(now|\d+s ago)(?= \()"), "<ago>"),
    (re.compile(r"\b(\d+h)?(\d+m)?\d+s\b|\b(\d+h)?\d+m\b"), "<duration>"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "<mark>"),
)

ANYTHING = "…"


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a document and what the document prints after it."""

    command: str
    output: str


def session_of(document: Path, *, blocks: str = "console") -> list[Step]:
    """Return the commands of a document's blocks of one kind, in order.

    Args:
        blocks: what stands behind the three backquotes.
    """
    steps: list[Step] = []
    for block in blocks_of(document, blocks):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            steps.append(Step(command, output))
    return steps


def check_session(document: Path, shell: Callable[[str], str], *, blocks: str = "console") -> None:
    """Run a document's commands one after the other, and compare what each prints with what the document says.

    Args:
        shell: runs a command and returns all that it prints.
        blocks: see `session_of`.
    """
    for step in session_of(document, blocks=blocks):
        printed = shell(step.command)
        said = f"$ {step.command}\n{printed}\nbut {document.name} says\n{step.output}"
        assert same_output(step.output, printed), said


def same_output(expected: str, actual: str) -> bool:
    """Compare what a document prints with what a command printed, but for what differs from run to run."""
    pattern = ".*".join(re.escape(part) for part in _masked(expected).split(ANYTHING))
    return re.fullmatch(pattern, _masked(actual), re.DOTALL) is not None


def _masked(text: str) -> str:
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    lines = text.strip().splitlines()
    if all(_is_address(line) for line in lines):
        lines.sort()  # every answer begins with another address
    return "\n".join(lines)


def _is_address(line: str) -> bool:
    try:
        ip_address(line)
    except ValueError:
        return False
    return True
