"""Master files for the tests: a good beginning, and short names for what comes of reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from dnsd.core import names
from dnsd.core.records import RRset, Zone
from dnsd.errors import Problem
from dnsd.zonefile.zone import Request, ZoneFile, read_requested

# Its last line is line 4; what a test adds begins in line 5.
GOOD_START = """$TTL 300
@ SOA ns1 host 1 7200 1800 1209600 60
@ NS ns1
ns1 A 192.0.2.53
"""
ADDED = 5


def read(
    folder: Path, text: str | bytes, *, others: Iterable[str] = (), includes: Mapping[str, str] | None = None
) -> ZoneFile:
    """Write a master file of example.org. and read it."""
    for name, content in (includes or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "zone").write_bytes(text if isinstance(text, bytes) else text.encode())
    other_names = frozenset(names.from_text(other) for other in others)
    return read_requested(Request(path=folder / "zone", apex=names.from_text("example.org."), other_names=other_names))


def read_good(folder: Path, added: str | bytes, *, includes: Mapping[str, str] | None = None) -> Zone:
    """Read the good beginning with something added that must be good as well."""
    octets = added if isinstance(added, bytes) else added.encode()
    found = read(folder, GOOD_START.encode() + octets, includes=includes)
    assert found.problems == ()
    assert found.zone is not None
    return found.zone


def brief(problems: Iterable[Problem], folder: Path) -> list[tuple[str, int, str, str]]:
    """Return what tests compare: file, line, owner and id."""
    return [
        (str(Path(problem.file).relative_to(folder)), problem.line, problem.place, problem.id) for problem in problems
    ]


def rrset(zone: Zone, owner: str, rdtype: int) -> RRset:
    """Return an RRset of a zone."""
    return zone.nodes[names.from_text(owner)].rrsets[rdtype].pick()
