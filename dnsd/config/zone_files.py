"""Zones of the configuration, and whether the fleet's names fit into them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
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
from dnsd.core.records import Zone
from dnsd.zonefile.zone import read_zone


@dataclass(frozen=True, slots=True)
class Zones:
    """The declared zones.

    Args:
        good: by folded apex.
        broken: folded apexes of zones that could not be read; nothing can be said of names in them.
    """

    good: Mapping[bytes, Zone]
    broken: frozenset[bytes]

    def why_not(self, owner: str) -> tuple[str, str] | None:
        """Return the id and message of why a name of the fleet cannot stand where it is, if so."""
        name = names.from_text(owner)
        for apex in (name, *names.ancestors(name)):
            if apex in self.broken:
                return None
            if apex in self.good:
                break
        return why_not_overlay(self.good, name)


def read_zones(
    entries: Sequence[Entry[ZoneSection]], findings: Findings, *, folder: FilePath, fleet_names: Container[bytes]
) -> Zones:
    """Read every zone's master file; problems and warnings, its own and the file's, go to the findings.

    Args:
        folder: what relative paths are relative to.
        fleet_names: folded owners of pools and nodes, which records of the zones may point to.
    """
    good: dict[bytes, Zone] = {}
    broken: set[bytes] = set()
    for entry in entries:
        apex = _apex(entry, findings)
        if apex is None:
            continue
        if apex in good or apex in broken:
            findings.problem(entry.at("name"), "duplicate-zone", message="the zone is declared already")
            continue
        if not entry.good("file"):
            broken.add(apex)
            continue
        read = read_zone(folder / entry.section.file, origin=names.to_text(apex), other_names=fleet_names)
        findings.problems.extend(read.problems)
        findings.warnings.extend(read.warnings)
        if read.zone is None:
            broken.add(apex)
        else:
            good[apex] = read.zone
    return Zones(good, frozenset(broken))


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


def check_names(zones: Zones, findings: Findings, *, pools: Mapping[str, Path], templates: Sequence[Template]) -> None:
    """Report names of the fleet that are outside the zones, hidden in them, or taken.

    Args:
        pools: where each pool's owner stands in the file.
    """
    of_nodes = {owner for template in templates for owner in template.owners}
    for owner, path in pools.items():
        if owner in of_nodes:
            message = f"{owner} is the name of a node as well, by a [[node_record]] template"
            findings.problem(path, "pool-is-node-name", message=message)
        _check_name(owner, path, zones, findings)
    for template in templates:
        outside = zones.why_not(template.sample)
        if outside and outside[0] == "outside-zones":
            message = f"the names that {template.spec.template} makes are in none of the zones"
            findings.problem(template.path, outside[0], message=message)
            continue
        for owner in template.owners:
            _check_name(owner, template.path, zones, findings)


def _check_name(owner: str, path: Path, zones: Zones, findings: Findings) -> None:
    fault = zones.why_not(owner)
    if fault:
        findings.problem(path, fault[0], message=fault[1])
