"""Zones of the configuration, and whether the fleet's names fit into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from dnsd.config.document import Entry
from dnsd.config.findings import Findings
from dnsd.config.locator import Path
from dnsd.config.node_records import Template
from dnsd.config.owner_names import WILDCARD, qualified
from dnsd.config.schema import ZoneSection
from dnsd.core import names
from dnsd.core.owners import why_not_overlay
from dnsd.core.records import ADDRESS_TYPES, Zone
from dnsd.zonefile.apart import read_zones
from dnsd.zonefile.zone import Request, ZoneFile, nothing_of

# What `why_not_overlay` calls a name that no zone has.
OUTSIDE = "outside-zones"


@dataclass(frozen=True, slots=True)
class Zones:
    """The declared zones.

    Args:
        served: those without a fault, by folded apex.
        names: what could be read of each, by folded apex.
        complete: the name of every zone is known.
    """

    served: Mapping[bytes, Zone]
    names: Mapping[bytes, Zone]
    complete: bool

    def why_not(self, owner: str, *, types: frozenset[int] = ADDRESS_TYPES) -> tuple[str, str] | None:
        """Return the id and message of why a name of the fleet certainly cannot stand where it is, if so.

        Args:
            types: of its records.
        """
        fault = why_not_overlay(self.names, names.from_text(owner), types=types)
        if fault and not self.complete and fault[0] != "clash":
            return None  # the zone whose name is not known may be the one that it stands in
        return fault


def read_declared(
    entries: Sequence[Entry[ZoneSection]],
    findings: Findings,
    *,
    folder: FilePath,
    fleet_names: frozenset[bytes],
    starting: bool,
) -> Zones:
    """Read every zone's master file; problems and warnings, its own and the file's, go to the findings.

    Args:
        folder: what relative paths are relative to.
        fleet_names: folded owners of pools and nodes, which records of the zones may point to.
        starting: nobody is answered yet.
    """
    served: dict[bytes, Zone] = {}
    known: dict[bytes, Zone] = {}
    apexes = [_apex(entry, findings) for entry in entries]
    # In the order of the entries, with none for those whose file or name is not known.
    found = iter(
        read_zones(
            [
                Request(path=folder / entry.section.file, apex=apex, other_names=fleet_names)
                for entry, apex in zip(entries, apexes, strict=True)
                if apex is not None and entry.good("file")
            ],
            hurry=starting,
        )
    )
    for entry, apex in zip(entries, apexes, strict=True):
        if apex is None:
            continue
        again = apex in known
        if again:
            findings.problem(entry.at("name"), "duplicate-zone", message="the zone is declared already")
        read = next(found) if entry.good("file") else None
        if read is not None:
            _report(entry, read, findings, path=folder / entry.section.file)
        if not again:
            known[apex] = read.names if read else nothing_of(apex)
            if read and read.zone:
                served[apex] = read.zone
    return Zones(served, known, complete=None not in apexes)


def _report(entry: Entry[ZoneSection], read: ZoneFile, findings: Findings, *, path: FilePath) -> None:
    for problem in read.problems:
        if problem.id == "unreadable" and (problem.file, problem.line) == (str(path), 0):
            # Nothing can be mended in a file that is not there; this file names it.
            findings.problem(entry.at("file"), problem.id, message=problem.message)
        else:
            findings.problems.append(problem)
    findings.warnings.extend(read.warnings)


def _apex(entry: Entry[ZoneSection], findings: Findings) -> bytes | None:
    if not entry.good("name"):
        return None
    try:
        name = qualified(entry.section.name)
    except ValueError as error:
        findings.problem(entry.at("name"), "bad-name", message=str(error))
        return None
    if name.startswith(WILDCARD):
        findings.problem(entry.at("name"), "bad-name", message="a wildcard is not the name of a zone")
        return None
    return names.from_text(name)


@dataclass(frozen=True, slots=True)
class PoolName:
    """The owner of a pool.

    Args:
        path: of it in the file.
        types: of the pool's records; none where they are not known.
    """

    path: Path
    types: frozenset[int]


def check_names(
    zones: Zones, findings: Findings, *, pools: Mapping[str, PoolName], templates: Sequence[Template]
) -> None:
    """Report names of the fleet that are outside the zones, hidden in them, or taken.

    Args:
        pools: by owner.
    """
    of_nodes = {owner for template in templates for owner in template.owners}
    for owner, pool in pools.items():
        if owner in of_nodes:
            message = f"{owner} is the name of a node as well, by a [[node_record]] template"
            findings.problem(pool.path, "pool-is-node-name", message=message)
        _check_name(owner, pool.path, zones, findings, types=pool.types)
    for template in templates:
        made = template.owners or (template.sample,)
        if all((zones.why_not(owner) or ("",))[0] == OUTSIDE for owner in made):
            message = f"the names that {template.spec.template} makes are in none of the zones"
            findings.problem(template.path, OUTSIDE, message=message)
            continue
        for owner in template.owners:
            _check_name(owner, template.path, zones, findings)


def _check_name(
    owner: str, path: Path, zones: Zones, findings: Findings, *, types: frozenset[int] = ADDRESS_TYPES
) -> None:
    fault = zones.why_not(owner, types=types)
    if fault:
        findings.problem(path, fault[0], message=fault[1])
