"""How far the secondaries are: which serials each was seen with and since when, and whether that is known at all.

It owns what status, the list of consumers and the metrics say of secondaries. It asks nobody: an adapter does, and
tells what it hears. What is not known, or was heard too long ago, counts as not there.

not asked ──answers──► heard (serial, since when) ──a newer serial──► heard
    └──no answer──► silent ◄──no answer──────┘ └──an older serial──► heard, from now
silent ──answers──► heard, from now: what it answered meanwhile, nobody knows
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dnsd.api.schemas import ConsumerInfo
from dnsd.config.transfer import Secondary
from dnsd.control.farserials import FarSerials
from dnsd.control.progress import RESOLVER_SLACK_SECONDS
from dnsd.control.publisher import Publisher
from dnsd.control.rivalry import Rivalry
from dnsd.core.names import to_text
from dnsd.core.zoneversion import ZoneVersion, ZoneVersions
from dnsd.model.times import format_instant

SECONDARY_KIND = "secondary"

# How often a secondary that is level is asked for each serial; a server with many zones asks more slowly, so that no
# secondary gets more than so many questions a second. Unit: seconds; questions per second.
LEVEL_SECONDS = 5.0
MOST_PER_SECOND = 20.0

# What was heard so many of these intervals ago says nothing of now: the adapter that asks has stopped. Unit: intervals.
STALE_INTERVALS = 6.0

# Versions of a zone whose revision is remembered. Unit: versions.
VERSIONS_REMEMBERED = 10_000

# How the metric names what is known of a zone at a secondary.
LEVEL, BEHIND, SILENT = "level", "behind", "silent"

_TO_THE_SECOND = len("2026-01-31T12:00:00")


class ZoneWithdrawal(NamedTuple):
    """A generation in which a node left a pool of a zone, and the TTL with which it was named until then."""

    apex: bytes
    generation: int
    ttl: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What secondaries have against stopping a node.

    Args:
        blockers: each in plain words; empty: all that should know of its withdrawal do.
        seconds_left: until no cache has its name from a secondary any more, 0 or more; of no meaning with blockers.
        max_ttl: seconds; the largest with which secondaries named it; None: there is none that could.
    """

    blockers: tuple[str, ...]
    seconds_left: float
    max_ttl: int | None


class FarServers:
    """What is known of the configured secondaries.

    Args:
        versions: of the zones that are served.
        secondaries: gives those that are configured now.
        zones: gives the folded apexes that are served now.
        clock: gives the present instant.
        steady: gives seconds on a clock that nobody sets.
        rivalry: told where a secondary has a newer serial than this server, which another one of the fleet has made.

    Attributes:
        notifies: (secondary, result) → NOTIFY messages since the start.
    """

    def __init__(
        self,
        publisher: Publisher,
        versions: ZoneVersions,
        *,
        secondaries: Callable[[], Sequence[Secondary]],
        zones: Callable[[], Collection[bytes]],
        clock: Callable[[], float],
        steady: Callable[[], float],
        rivalry: Rivalry,
    ) -> None:
        self.notifies: Counter[tuple[str, str]] = Counter()
        self._publisher = publisher
        self._versions = versions
        self._secondaries = secondaries
        self._zones = zones
        self._clock = clock
        self._steady = steady
        self._rivalry = rivalry
        self._seen: dict[bytes, dict[str, FarSerials]] = {}  # apex → secondary → what it said of it
        self._revisions: dict[bytes, dict[int, int]] = {}  # apex → serial → revision, of this server's versions

    # --- what is heard ------------------------------------------------------------------------------------------

    def note_version(self, version: ZoneVersion) -> None:
        """Take note of a new version of a zone."""
        revisions = self._revisions.setdefault(version.apex, {})
        revisions.pop(version.serial, None)
        revisions[version.serial] = version.revision
        if len(revisions) > VERSIONS_REMEMBERED:
            del revisions[next(iter(revisions))]
        for seen in self._seen.get(version.apex, {}).values():
            seen.made_here(version.serial)

    def answered(self, secondary: str, apex: bytes, serial: int) -> None:
        """Take note of a serial that a secondary has said just now."""
        version = self._versions.current(apex)
        ours = serial in self._revisions.get(apex, ()) or (version is not None and version.serial == serial)
        seen = self._seen.setdefault(apex, {}).setdefault(secondary, FarSerials())
        seen.answered(serial, ours=ours, at=self._steady(), at_wall=self._clock())
        self._doubt(apex, seen, waited_for=False)

    def failed(self, secondary: str, apex: bytes, why: str) -> None:
        """Take note that a secondary did not say which serial it has.

        Args:
            why: as a person reads it in brackets.
        """
        self._seen.setdefault(apex, {}).setdefault(secondary, FarSerials()).failure = why

    def notified(self, secondary: str, result: str) -> None:
        """Count a NOTIFY by what came of it."""
        self.notifies[secondary, result] += 1

    def forget_others(self) -> None:
        """Drop what is known of secondaries and zones that are no longer configured."""
        asked = tuple(self._asked())
        for apex, seen in list(self._seen.items()):
            for name in seen.keys() - {each.name for each in asked if each.has_zone(apex)}:
                del seen[name]
            if not seen or apex not in self._zones():
                del self._seen[apex]
        for apex in self._revisions.keys() - set(self._zones()):
            del self._revisions[apex]
        self._rivalry.forget_others(self._zones())
        names = {each.name for each in self._secondaries()}
        for counted in [each for each in self.notifies if each[0] not in names]:
            del self.notifies[counted]

    # --- what follows from it -----------------------------------------------------------------------------------

    def level_seconds(self, secondary: Secondary) -> float:
        """Return how long to wait between two questions about one zone of a secondary that is level."""
        zones = self._zones()
        count = len(zones) if secondary.zones is None else sum(apex in zones for apex in secondary.zones)
        return max(LEVEL_SECONDS, count / MOST_PER_SECOND)

    def is_behind(self, secondary: str, apex: bytes) -> bool:
        """Say whether a secondary is not known to have the current version of a zone, or a newer one."""
        version = self._versions.current(apex)
        seen = self._seen_of(secondary, apex)
        return version is not None and (seen.failure is not None or not seen.has(version.serial))

    def standing(self, withdrawals: Iterable[ZoneWithdrawal]) -> Standing:
        """Return what secondaries have against stopping a node that pools have stopped naming.

        Args:
            withdrawals: of the node in one role, from each pool that may have named it.
        """
        now = self._steady()
        blockers: dict[str, None] = {}  # each once, in their order
        left, max_ttl = 0.0, None
        for apex, generation, ttl in withdrawals:
            having = [each for each in self._asked() if each.has_zone(apex)]
            if not having or apex not in self._zones():
                continue
            max_ttl = max(ttl, max_ttl or 0)
            serial = None if self._versions.current(apex) is None else self._versions.serial_with(apex, generation)
            if serial is None:
                blockers[f"the zone {to_text(apex)} has no version without it yet"] = None
                continue
            for each in having:
                seen = self._seen_of(each.name, apex)
                since = seen.since(serial)
                if self._is_silent(seen, self._stale_seconds(each)):
                    blockers[_of_silence(each, apex, seen)] = None
                elif since is None:
                    blockers[_of_lag(each, apex, seen, serial)] = None
                    self._doubt(apex, seen, waited_for=True)
                else:
                    left = max(left, since + ttl + RESOLVER_SLACK_SECONDS - now)
        return Standing(tuple(blockers), left, max_ttl)

    def _doubt(self, apex: bytes, seen: FarSerials, *, waited_for: bool) -> None:
        """Have ours become the newest serial, or known for the same, where another server's is."""
        version = self._versions.current(apex)
        if version is not None and seen.is_foreign and seen.has(version.serial):
            self._rivalry.seen(apex, seen, now=self._steady(), waited_for=waited_for)

    def states(self) -> dict[tuple[str, str], int]:
        """Return how many zones are `level`, `behind` or `silent` at each secondary, by (secondary, state)."""
        found: dict[tuple[str, str], int] = {}
        for each in self._asked():
            found |= {(each.name, state): 0 for state in (LEVEL, BEHIND, SILENT)}
            stale_seconds = self._stale_seconds(each)
            for apex in self._zones_of(each):
                seen = self._seen_of(each.name, apex)
                behind = self.is_behind(each.name, apex) or seen.is_foreign
                state = SILENT if self._is_silent(seen, stale_seconds) else BEHIND if behind else LEVEL
                found[each.name, state] += 1
        return found

    def infos(self) -> list[ConsumerInfo]:
        """Return the secondaries as consumers, those included that are silent, or were never heard."""
        return [info for each in self._asked() for info in self._info(each)]

    def _info(self, secondary: Secondary) -> Iterator[ConsumerInfo]:
        zones = self._zones_of(secondary)
        seen = [self._seen_of(secondary.name, apex) for apex in zones]
        heard = [each.heard_at_wall for each in seen if each.heard_at is not None]
        newest, stale_seconds = self._publisher.fleet.revision, self._stale_seconds(secondary)
        applied = min((self._revision_at(secondary.name, apex) for apex in zones), default=newest)
        yield ConsumerInfo(
            kind=SECONDARY_KIND,
            id=secondary.name,
            applied_revision=applied,
            lag_ms=self._lag_ms(seen, applied) if heard else None,
            behind=applied < newest or not heard,
            last_seen=max(heard, default=None),
            live=not any(self._is_silent(each, stale_seconds) for each in seen),
        )

    def _revision_at(self, secondary: str, apex: bytes) -> int:
        """Return the revision that a secondary is known to have of a zone; 0: none is known."""
        seen = self._seen_of(secondary, apex)
        if seen.own_serial is None:
            return 0
        newest = self._versions.serial_with(apex, self._publisher.generation)
        if newest is not None and seen.since(newest) is not None:
            return self._publisher.fleet.revision  # what came after that serial has changed nothing in the zone
        return self._revisions.get(apex, {}).get(seen.own_serial, 0)

    def _lag_ms(self, seen: Sequence[FarSerials], revision: int) -> float | None:
        """Return the milliseconds from the acceptance of a revision until the last zone had it, as far as known."""
        accepted_at = self._publisher.accepted_at(revision)
        if accepted_at is None:
            return None
        now = self._steady()
        latest = max((each.changed_at for each in seen if each.changed_at is not None), default=now)
        return round(max(0.0, self._clock() - (now - latest) - accepted_at) * 1000, 3)

    def _stale_seconds(self, secondary: Secondary) -> float:
        return STALE_INTERVALS * self.level_seconds(secondary)

    def _is_silent(self, seen: FarSerials, stale_seconds: float) -> bool:
        return seen.failure is not None or seen.heard_at is None or self._steady() - seen.heard_at > stale_seconds

    def _seen_of(self, secondary: str, apex: bytes) -> FarSerials:
        return self._seen.get(apex, {}).get(secondary) or FarSerials()

    def _asked(self) -> Iterator[Secondary]:
        return (each for each in self._secondaries() if each.address is not None)

    def _zones_of(self, secondary: Secondary) -> list[bytes]:
        return [apex for apex in self._zones() if secondary.has_zone(apex)]


def _of_silence(secondary: Secondary, apex: bytes, seen: FarSerials) -> str:
    why = f"{to_text(apex)}: {seen.failure or 'it is not asked'}"
    if seen.heard_at is None:
        return f"secondary {secondary.name} has not answered yet ({why})"
    last = format_instant(seen.heard_at_wall)[:_TO_THE_SECOND]
    return f"secondary {secondary.name} has not answered since {last}Z ({why})"


def _of_lag(secondary: Secondary, apex: bytes, seen: FarSerials, serial: int) -> str:
    has = f"secondary {secondary.name} has serial {seen.serial} of {to_text(apex)}"
    if seen.is_foreign and seen.has(serial):
        return f"{has}, which another server made: what is in it is not known here"
    return f"{has}, not {serial} yet"
