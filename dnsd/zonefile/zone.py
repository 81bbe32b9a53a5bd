"""From a master file to a zone that can be served, or to every reason why it cannot.

Whether that is done in this process or in one of its own is for `dnsd.zonefile.apart`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dnsd.core import constants, names
from dnsd.core.records import Zone
from dnsd.core.zonebuild import build_zone, zone_of
from dnsd.core.zoneimage import ZoneImage
from dnsd.core.zoneimage_build import TooLarge, build_image
from dnsd.errors import Problem
from dnsd.openfiles import reason
from dnsd.sharedbytes import SharedBytes
from dnsd.zonefile.checks import TypesByOwner, check_zone, types_by_owner
from dnsd.zonefile.gathering import Gathered, Gathering
from dnsd.zonefile.lint import warn_of_oddities
from dnsd.zonefile.reader import MasterFileReader

# A zone with more names is kept as an image that all processes share. Below, objects are the faster, and every worker
# can afford its own: this many take about 4 MB. Unit: owner names.
MAX_NAMES_AS_OBJECTS = 4096

# What stands in the way of an image that is no fault of ours.
NO_IMAGE = (OSError, TooLarge)

# Of a SOA that stands in for a missing one: two root names and five numbers (RFC 1035 §3.3.13).
_NO_SOA_RDATA = bytes(22)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A zone to be read from its master file (RFC 1035 §5), with `$INCLUDE`, `$GENERATE`, `$TTL` and `$ORIGIN`.

    Args:
        path: the file; an `$INCLUDE` is relative to the file that includes.
        apex: folded name of the zone.
        other_names: folded names that get addresses from elsewhere (pools), for the warnings.
    """

    path: Path
    apex: bytes
    other_names: frozenset[bytes] = frozenset()


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


@dataclass(frozen=True, slots=True)
class Checked:
    """What a master file says, and what is to be said of it.

    Args:
        gathering: its records, with a SOA in any case: where there is none, one that is good for nothing.
        types: of every owner.
        good: there are no problems.
        problems, warnings: as of `ZoneFile`.
    """

    gathering: Gathering
    types: TypesByOwner
    good: bool
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    def image(self) -> bytearray:
        """Return the image of the zone's tree; see `dnsd.core.zoneimage`."""
        return build_image(self.gathering.apex, self.types, self.gathering.records)


def read_requested(request: Request) -> ZoneFile:
    """Read a zone in this process.

    Returns:
        The zone, or the problems that keep it from being one; a file that cannot be read is a problem as well.
    """
    checked = read_and_check(request)
    apex = request.apex
    if len(checked.types) > MAX_NAMES_AS_OBJECTS:
        try:
            tree = zone_of(apex, ZoneImage(SharedBytes.of(checked.image())))
        except NO_IMAGE as error:
            return not_read(request, why_no_image(error), problems=checked.problems)
    else:
        tree = build_zone(apex, checked.gathering.rrsets())
    return ZoneFile(
        zone=tree if checked.good else None, names=tree, problems=checked.problems, warnings=checked.warnings
    )


def read_and_check(request: Request) -> Checked:
    """Read a master file and check it, without making a zone of it."""
    gathering = Gathering(request.apex)
    MasterFileReader(gathering).read(request.path)
    types = types_by_owner(gathering)
    check_zone(gathering, types, file=str(request.path))
    good = not gathering.problems
    if good:
        warn_of_oddities(gathering, types, others=request.other_names)
    else:
        _make_some_soa(gathering)
        types = types_by_owner(gathering)
    problems, warnings = tuple(sorted(gathering.problems)), tuple(sorted(gathering.warnings))
    return Checked(gathering, types, good, problems, warnings)


def not_read(request: Request, why: str, *, problems: tuple[Problem, ...] = ()) -> ZoneFile:
    """Return that a zone could not be read, although nothing need be wrong with its file.

    Args:
        why: the end of a sentence.
        problems: what is wrong with the file besides.
    """
    message = f"it could not be read: {why}"
    problem = Problem(str(request.path), 0, names.to_text(request.apex), "not-read", message)
    return ZoneFile(zone=None, names=nothing_of(request.apex), problems=(*problems, problem), warnings=())


def why_no_image(error: Exception, *, what: str = "its image cannot be kept") -> str:
    """Return why there is no image, where one of `NO_IMAGE` was raised.

    Args:
        what: cannot be done, for an error of the system.
    """
    return f"{what}: {reason(error)}" if isinstance(error, OSError) else str(error)


def nothing_of(apex: bytes) -> Zone:
    """Return the tree of a zone of which no file can be read, for questions about its names."""
    gathering = Gathering(apex)
    _make_some_soa(gathering)
    return build_zone(apex, gathering.rrsets())


def _make_some_soa(gathering: Gathering) -> None:
    """See that there is one SOA record at the apex, where a tree is made only to look at its names."""
    key = gathering.apex, constants.SOA
    soa = gathering.records.get(key)
    if soa is None or len(soa.rdatas) != 1:
        gathering.records[key] = Gathered(0, _NO_SOA_RDATA, _NO_SOA_RDATA, "", 0)
