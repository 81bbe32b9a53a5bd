"""The packets that are kept: a file each, small, and none without something that others lack.

What a packet does is measured in steps from one line of the core to the next, and in the headers of the responses. What
takes a step, or gets a header, that no smaller packet does, stays, in a file that is named after its content. Packets
that have shown a fault are in files with names of their own, `fault-` and what it was; they stay whatever they do.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from tests.fuzz.checking import Checker

FOLDER = Path(__file__).parent / "corpus"

FAULT = "fault-"

# So much of it is pleasant to have in a repository. Units: files, bytes.
MOST_FILES = 300
MOST_BYTES = 200_000

Step = tuple[str, int, int]
Result = TypeVar("Result")


def packets(folder: Path = FOLDER) -> dict[str, bytes]:
    """Return the packets of a folder by file name."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def name_of(packet: bytes) -> str:
    """Return the name of the file that a packet is kept in."""
    return hashlib.sha256(packet).hexdigest()[:16]


def traced(work: Callable[[], Result]) -> tuple[Result, set[Step], int]:
    """Return what work returns, the steps that it takes in the core, each once, and how many lines it runs there."""
    steps: set[Step] = set()
    lines = 0

    def enter(frame: FrameType, event: str, _argument: Any) -> Any:
        file = frame.f_code.co_filename
        if "/dnsd/core/" not in file:
            return None
        before = 0

        def step(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal before, lines
            if event == "line":
                lines += 1
                steps.add((file, before, frame.f_lineno))
                before = frame.f_lineno
            return step

        return step

    outer = sys.gettrace()
    sys.settrace(enter)
    try:
        result = work()
    finally:
        sys.settrace(outer)
    return result, steps, lines


def kept(candidates: Iterable[bytes]) -> list[bytes]:
    """Return those packets that do what no other before them does, the smallest first."""
    checker = Checker()
    found: set[object] = set()
    chosen = []
    for packet in sorted(set(candidates), key=lambda packet: (len(packet), packet)):
        heads, steps, _ = traced(partial(checker.check, packet))
        new = {*steps, *enumerate(heads)} - found
        if new:
            found |= new
            chosen.append(packet)
    return chosen


def replace(folder: Path, chosen: Iterable[bytes]) -> None:
    """Have a folder hold these packets, those that have shown a fault, and no others."""
    wanted = {name_of(packet): packet for packet in chosen}
    for name in packets(folder).keys() - wanted.keys():
        if not name.startswith(FAULT):
            (folder / name).unlink()
    for name, packet in wanted.items():
        (folder / name).write_bytes(packet)
