"""dnsperf beside a test: a steady load, and what it counted."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.servers import Server


@contextlib.contextmanager
def asking(server: Server, folder: Path, *, seconds: int, rate: int) -> Iterator[subprocess.Popen[str]]:
    """Ask pooled, per-node and plain names at a rate, from several ports, for at most as long as the block takes."""
    questions = folder / "questions.txt"
    names = ("edge.example.org A", "edge.example.org AAAA", "edge-1.nodes.example.org A", "www.example.org A")
    questions.write_text("\n".join(names) + "\n")
    where = ["-s", "127.0.0.1", "-p", str(server.dns_port)]
    load = ["-l", str(seconds), "-Q", str(rate), "-c", "20", "-t", "2"]
    process = subprocess.Popen(
        ["dnsperf", *where, "-d", str(questions), *load, "-e"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def figures(output: str) -> dict[str, int]:
    """Return what dnsperf counted: sent, completed, lost, and answers by RCODE."""
    found = {
        key: int(match[1])
        for key in ("sent", "completed", "lost")
        if (match := re.search(rf"Queries {key}:\s+(\d+)", output)) is not None
    }
    codes = re.search(r"Response codes:\s+(.*)", output)
    found.update({name: int(count) for name, count in re.findall(r"(\w+) (\d+)", codes[1] if codes else "")})
    return found
