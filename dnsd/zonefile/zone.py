"""From a master file to a zone that can be served, or to every reason why it cannot."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from dnsd.core import names
from dnsd.core.records import Zone
from dnsd.core.zonebuild import build_zone
from dnsd.errors import Problem
from dnsd.zonefile.checks import check_zone, types_by_owner
from dnsd.zonefile.gathering import Gathering
from dnsd.zonefile.lint import warn_of_oddities
from dnsd.zonefile.reader import MasterFileReader

# Problems that mean that something of the file was not read at all, so that what else is missing says nothing.
_NOT_READ = frozenset({"unreadable", "not-utf8"})


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """What came of a master file.

    Args:
        zone: None where there are problems.
        problems: every reason why the zone cannot be used.
        warnings: what is odd but serves.
    """

    zone: Zone | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def read_zone(path: Path, *, origin: str, other_names: Container[bytes] = frozenset()) -> ZoneFile:
    """Read a zone from its master file (RFC 1035 §5), with `$INCLUDE`, `$GENERATE`, `$TTL` and `$ORIGIN`.

    Args:
        path: the file; an `$INCLUDE` is relative to the file that includes.
        origin: the zone's name, fully qualified, without escapes.
        other_names: folded names that get addresses from elsewhere (pools), for the warnings.

    Returns:
        The zone, or the problems that keep it from being one; a file that cannot be read is a problem as well.

    Raises:
        ValueError: the origin is not a name.
    """
    gathering = Gathering(names.from_text(origin))
    MasterFileReader(gathering).read(path)
    types = types_by_owner(gathering)
    if not any(problem.id in _NOT_READ for problem in gathering.problems):
        check_zone(gathering, types, file=str(path))
    zone = None
    if not gathering.problems:
        warn_of_oddities(gathering, types, others=other_names)
        zone = build_zone(gathering.apex, gathering.rrsets())
    return ZoneFile(zone, tuple(sorted(gathering.problems)), tuple(sorted(gathering.warnings)))
