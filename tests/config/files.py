"""Configuration files for the tests: a zone, a good beginning, and short names for what comes of loading."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from dnsd.config.loading import load_settings
from dnsd.config.settings import Settings
from dnsd.errors import ConfigurationError, Problem

ZONE = """$TTL 300
@ SOA ns1 host 1 7200 1800 1209600 60
@ NS ns1
ns1 A 192.0.2.53
taken A 192.0.2.54
text TXT "beside a pool"
sub NS ns1
old DNAME other.example.
"""

# Its last line is line 4; what a test adds begins in line 5.
GOOD_START = """version = 1
[[zone]]
name = "example.org."
file = "zone"
"""


def write(folder: Path, text: str, *, zone: str = ZONE) -> Path:
    """Write a configuration file and its zone; return the path."""
    (folder / "zone").write_text(zone)
    path = folder / "config.toml"
    path.write_bytes(text.encode())
    return path


def load(folder: Path, text: str, *, zone: str = ZONE) -> Settings:
    """Load a configuration that must be good."""
    return load_settings(write(folder, text, zone=zone))


def problems(folder: Path, text: str, *, zone: str = ZONE) -> list[Problem]:
    """Load a configuration that must be refused; return why."""
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text, zone=zone)
    return list(caught.value.problems)


def brief(found: Iterable[Problem]) -> list[tuple[str, int, str]]:
    """Return what tests compare: id, line and place."""
    return sorted((problem.id, problem.line, problem.place) for problem in found)
