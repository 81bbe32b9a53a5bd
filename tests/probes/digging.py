"""Asking with dig, and what it prints of an answer in one line."""

from __future__ import annotations

import re
import subprocess

from tests.support.servers import PATIENCE_SECONDS

# What dig adds of an answer that it does not like. That nobody recurses here is no fault.
COMPLAINT = re.compile(r"^;; (?:WARNING|Warning|ERROR|Got bad|communications error|.*malformed).*$", re.MULTILINE)
_OPT = re.compile(r"^; EDNS: version: (\d+), flags:([a-z ]*)(?:; MBZ: (\w+))?.*((?:\n; ?[A-Z].*)*)", re.MULTILINE)
_NO_RECURSION = ";; WARNING: recursion requested but not available"


def dig(host: str, port: int, words: str) -> str:
    """Return what dig prints; it asks once, and not again with a cookie that it has just learned."""
    command = ["dig", f"@{host}", "-p", str(port), "+tries=1", "+time=5", "+nobadcookie", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def outcome_of(text: str) -> str:
    """Return an answer in one line.

    RCODE, opcode where it is not QUERY, and flags; the types of the records in the answer section, each once; OPT with
    its version, flags and the names of its options; the error of a TSIG.
    """
    header = re.search(r"opcode: (\w+), status: (\w+),.*\n;; flags: ([a-z ]*)([^;]*);", text)
    assert header is not None, text
    opcode, rcode, flags, reserved = header.groups()
    words = [rcode, *([] if opcode == "QUERY" else [opcode]), *flags.split(), *reserved.split()]
    parts = [" ".join(words), *dict.fromkeys(_answered_types(text))]
    opt = _OPT.search(text)
    if opt is not None:
        options = [line.removeprefix(";").strip().partition(":")[0].replace(" ", "-") for line in opt[4].splitlines()]
        unknown = [f"MBZ={opt[3]}"] if opt[3] else []
        parts.append(" ".join(["OPT", opt[1], *opt[2].split(), *unknown, *filter(None, options)]))
    if tsig := re.search(r"^\S+\s+0\s+ANY\s+TSIG\s+\S+ \d+ \d+ \d+ .*?\d+ (\w+) \d+", text, re.MULTILINE):
        parts.append(f"TSIG {tsig[1]}")
    return ", ".join(parts)


def _answered_types(text: str) -> list[str]:
    section = re.search(r";; ANSWER SECTION:\n(.*?)(?:\n\n|\Z)", text, re.DOTALL)
    return [line.split()[3] for line in section[1].splitlines()] if section else []


def complaints(text: str) -> list[str]:
    """Return what dig does not like about an answer."""
    return [line for line in COMPLAINT.findall(text) if line != _NO_RECURSION]
