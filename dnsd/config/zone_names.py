"""The zones by their names, as pools and templates say which one they belong to; no file is read for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dnsd.config.document import Entry
from dnsd.config.findings import Findings, suggestion
from dnsd.config.owner_names import qualified
from dnsd.config.schema import NodeRecordSection, PoolSection, ZoneSection
from dnsd.core import names


@dataclass(frozen=True, slots=True)
class ZoneNames:
    """The names of the declared zones.

    Args:
        known: fully qualified and folded.
        complete: there is no other.
    """

    known: tuple[str, ...]
    complete: bool

    def closest(self, owner: str) -> str | None:
        """Return the zone that a name is in; None: in none that is known."""
        name = names.from_text(owner)
        around = (zone for zone in self.known if names.is_at_or_below(name, names.from_text(zone)))
        return max(around, key=len, default=None)

    def check_inside(
        self, owner: str, entry: Entry[PoolSection] | Entry[NodeRecordSection], findings: Findings
    ) -> bool:
        """Say whether a name is in the zone that its table states, if it states one; why not goes to the findings."""
        zone = entry.section.zone
        closest = self.closest(owner)
        if zone is None or closest == qualified(zone):
            return True
        where = "in none of the zones" if closest is None else f"in the zone {closest}"
        findings.problem(entry.at("zone"), "other-zone", message=f"{owner} is {where}, and not in {qualified(zone)}")
        return False


def zone_names(entries: Sequence[Entry[ZoneSection]]) -> ZoneNames:
    """Return the names of the zones, without a word about faulty ones: that is for those who read the zones."""
    found: list[str] = []
    complete = True
    for entry in entries:
        try:
            found.append(qualified(entry.section.name if entry.good("name") else ""))
        except ValueError:
            complete = False
    return ZoneNames(tuple(dict.fromkeys(found)), complete)


@dataclass(frozen=True, slots=True)
class Origin:
    """What the names of a table are relative to.

    Args:
        zone: fully qualified and folded; None: to nothing.
    """

    zone: str | None


def origin_of(
    entry: Entry[PoolSection] | Entry[NodeRecordSection], zones: ZoneNames, findings: Findings
) -> Origin | None:
    """Return what the names of a table are relative to; None: that cannot be known, and why is among the findings."""
    if not entry.good("zone"):
        return None
    text = entry.section.zone
    if text is None:
        return Origin(None)
    try:
        zone = qualified(text)
    except ValueError as error:
        findings.problem(entry.at("zone"), "bad-name", message=str(error))
        return None
    if zone in zones.known:
        return Origin(zone)
    if zones.complete:
        hint = suggestion(zone, known=zones.known)
        findings.problem(entry.at("zone"), "unknown-zone", message=f"there is no zone {zone}{hint}")
    return None
