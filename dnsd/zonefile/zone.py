"""From a master file to a zone that can be served, or to every reason why it cannot."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from dnsd.core import constants, names
from dnsd.core.records import RRset, Zone
from dnsd.core.zonebuild import build_zone
from dnsd.errors import Problem
from dnsd.zonefile.checks import check_zone, types_by_owner
from dnsd.zonefile.gathering import Gathering
from dnsd.zonefile.lint import warn_of_oddities
from dnsd.zonefile.reader import MasterFileReader

# Stands in for a SOA that is missing, where a tree is made only to look at its names.
_NO_SOA = RRset(constants.SOA, 0, (bytes(22),))  # two root names and five numbers (RFC 1035 §3.3.13)


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """What came of a master file.

    Args:
        zone: None where there are problems.
        names: what could be read, as a tree; the zone itself where there is one, and else only for questions about
            its names.
        problems: every reason why the zone cannot be used.
        warnings: what is odd but serves.
    """

    zone: Zone | None
    names: Zone
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
    check_zone(gathering, types, file=str(path))
    good = not gathering.problems
    if good:
        warn_of_oddities(gathering, types, others=other_names)
    tree = _tree(gathering)
    return ZoneFile(
        zone=tree if good else None,
        names=tree,
        problems=tuple(sorted(gathering.problems)),
        warnings=tuple(sorted(gathering.warnings)),
    )


def nothing_of(apex: bytes) -> Zone:
    """Return the tree of a zone of which no file can be read, for questions about its names."""
    return _tree(Gathering(apex))


def _tree(gathering: Gathering) -> Zone:
    rrsets = gathering.rrsets()
    soa = rrsets.get((gathering.apex, constants.SOA))
    if soa is None or len(soa.rdatas) != 1:
        rrsets[gathering.apex, constants.SOA] = _NO_SOA
    return build_zone(gathering.apex, rrsets)
