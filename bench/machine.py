"""What a measurement was taken on: the processor, the system, the date, and the versions of what ran."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import dnsd
from bench.owned import PROGRAM_PATH, find_program
from bench.servers import PEERS


def processor() -> str:
    """Return what the processor is called."""
    file = Path("/proc/cpuinfo")
    match = re.search(r"^model name\s*:\s*(.*)$", file.read_text() if file.exists() else "", re.MULTILINE)
    return match[1] if match else platform.machine()


def version_of(program: str, words: list[str]) -> str:
    """Return the first version number that a program prints of itself, or `not installed`."""
    path = find_program(program)
    if path is None:
        return "not installed"
    done = subprocess.run(
        [path, *words], check=False, capture_output=True, text=True, env={"PATH": PROGRAM_PATH}, timeout=20
    )
    match = re.search(r"\b\d+\.\d+[\d.]*\d", done.stdout + done.stderr)
    return match[0] if match else "of an unknown version"


def versions() -> str:
    """Return the versions of everything that is measured, and of what measures."""
    found = [f"dnsd {dnsd.__version__}", f"Python {platform.python_version()}"]
    found += [f"{peer.name} {version_of(peer.program, list(peer.version))}" for peer in PEERS if peer.program]
    return ", ".join([*found, f"dnsperf {version_of('dnsperf', ['-h'])}"])


def measured() -> str:
    """Return the line that stands under a section."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.release()}"
    where = f"{len(os.sched_getaffinity(0))} CPUs of {processor()}, {memory:.0f} GiB, {system}"
    return f"_Measured on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {where}; {versions()}._"
