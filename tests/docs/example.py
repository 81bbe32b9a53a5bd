"""The example fleet as `make run` starts it, on free ports and with files of its own, and sessions run against it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tests.support.servers import PATIENCE_SECONDS, Server

ROOT = Path(__file__).parents[2]

# The ports that the example and the documents use.
DNS_PORT, ADMIN_PORT = "5353", "8053"

# Differs from run to run: the pattern, and what stands for it in a comparison.
_MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"\bafter [\d.]+ m?s\b"), "after <lag>"),
    (re.compile(r'"lag_ms":[\d.]+'), '"lag_ms":<lag>'),
    (re.compile(r"\b(now|\d+s ago)(?= \()"), "<ago>"),
    (re.compile(r"\b(\d+h)?(\d+m)?\d+s\b|\b(\d+h)?\d+m\b"), "<duration>"),
)

ANYTHING = "…"


class ExampleServer(Server):
    """`make run` without make: the example's configuration and zones, started by `scripts/run-example`.

    Args:
        folder: empty.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        text = (ROOT / "config.example.toml").read_text()
        text = text.replace(f":{DNS_PORT}", f":{self.dns_port}").replace(f":{ADMIN_PORT}", f":{self.admin_port}")
        self.config.write_text(text)
        shutil.copytree(ROOT / "zones", folder / "zones")
        (folder / ".venv").symlink_to(sys.prefix)

    def command(self) -> Sequence[str | Path]:
        """Return what `make run` does."""
        return [ROOT / "scripts" / "run-example", ".venv/bin/dnsd", self.config.name]

    def shell(self, command: str) -> str:
        """Run a line of a document in the server's folder, with the ports that it has here; return all it prints."""
        line = command.replace(f"-p {DNS_PORT}", f"-p {self.dns_port}").replace(f":{ADMIN_PORT}", f":{self.admin_port}")
        done = subprocess.run(
            ["bash", "-c", line],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
            env={**os.environ, "DNSD_SERVER": self.url, "NO_COLOR": "1"},
            cwd=self.folder,
        )
        return done.stdout


@contextlib.contextmanager
def example(folder: Path) -> Iterator[ExampleServer]:
    """Run the example for the length of a test; nothing of it is left afterwards."""
    server = ExampleServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.close()


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a document and what the document prints after it."""

    command: str
    output: str


def session_of(document: Path) -> list[Step]:
    """Return the commands of a document's `console` blocks, in order."""
    steps: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```$", document.read_text(), re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            steps.append(Step(command, output))
    return steps


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
