"""From generations to versions of zones, each with a serial of its own: what secondaries transfer.

generation ──names changed──► pending ──a moment later──► compared ──records differ──► serial claimed ──► version
                                                              └──they do not──► nothing

It owns what was handed on last, and the history of it. It knows no socket and no secondary: the transfer server reads
versions here, and whoever wants to hear of new ones says so. A fault in here is logged and counted, and tried again;
answers go on as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from dnsd.config.transfer import TransferSettings
from dnsd.control.publisher import Publisher
from dnsd.control.serialclaims import Content, SerialClaims
from dnsd.control.zonekept import KeptZone, Published
from dnsd.core.names import to_text
from dnsd.core.owners import closest_zone
from dnsd.core.records import Delta, Overlay, Zone, ZoneNode
from dnsd.core.serials import serial_of
from dnsd.core.zonecontent import laid_over
from dnsd.core.zonedigest import digest_text
from dnsd.core.zonemirror import Mirror, Step
from dnsd.core.zoneversion import ZoneDiff, ZoneVersion

log = logging.getLogger(__name__)

# How often the store is asked for what was made without it. Unit: seconds.
RETRY_SECONDS = 1.0

# After a fault of ours: the first pause, which doubles, and the longest. Unit: seconds.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0

# At more names that have changed, all are compared, in a thread: the event loop must not stand still for them. It looks
# at some 100,000 a second. Unit: names.
MOST_NAMES = 2_000

# How long a new version waits for the workers to show its serial, before others hear of it: a secondary that is told
# may ask a worker first, and takes an old serial for no news. Unit: seconds.
SHOWN_SECONDS = 1.0


class VersionKeeper:
    """The `ZoneVersions` of what a publisher publishes.

    Args:
        settings: gives those of now.

    Attributes:
        on_version: each is told of every version once it is current and shown in answers, at a start of every zone's;
            must not block. What one raises is logged, and no other misses anything by it.
        counts: since the start, versions by who gave their serials, the store (`made`) or nobody (`alone`), and faults
            of ours (`failed`).
    """

    def __init__(self, publisher: Publisher, claims: SerialClaims, *, settings: Callable[[], TransferSettings]) -> None:
        self.on_version: list[Callable[[ZoneVersion], None]] = []
        self.counts = {"made": 0, "alone": 0, "failed": 0}
        self._publisher = publisher
        self._claims = claims
        self._settings = settings
        self._zones: dict[bytes, KeptZone] = {}
        self._names: set[bytes] = set()  # those that have changed since
        self._everything = True  # whatever is in the zones and between them may have changed
        self._waiting_since: int | None = None  # the first generation that changed any
        self._under_way: int | None = None  # the same, of those that are being compared
        self._untold: list[ZoneVersion] = []
        self._overtaken: set[bytes] = set()
        self._changed = asyncio.Event()
        self._changed.set()
        publisher.on_generation = self._note

    # --- reading (`ZoneVersions`) -------------------------------------------------------------------------------

    def current(self, apex: bytes) -> ZoneVersion | None:
        """Return a zone as it is to be transferred now."""
        kept = self._zones.get(apex)
        return None if kept is None else kept.version

    def since(self, apex: bytes, serial: int) -> Sequence[ZoneDiff] | None:
        """Return what leads from a serial to the current version."""
        kept = self._zones.get(apex)
        return None if kept is None else kept.since(serial)

    def serial_with(self, apex: bytes, generation: int) -> int | None:
        """Return the serial of the first version with a generation in it, or of one after it.

        None also while the store is away: the serials of that time may be other servers' as well.
        """
        kept = self._zones.get(apex)
        unseen = min(first for first in (self._under_way, self._waiting_since, generation + 1) if first is not None)
        if kept is None or generation >= unseen or generation > self._publisher.generation:
            return None
        return kept.serial_with(generation)

    @property
    def serials(self) -> Mapping[bytes, int]:
        """The serial of every zone's current version, by folded apex."""
        return {apex: kept.version.serial for apex, kept in self._zones.items()}

    def heard(self, apex: bytes, serial: int) -> None:
        """Take note that a secondary has a newer serial of a zone, which another server has made.

        Args:
            apex: folded name.
        """
        self._claims.heard(to_text(apex), serial)

    def overtaken(self, apex: bytes) -> None:
        """Claim a zone's serial again: the store knows whether the one that was heard is of the same records.

        Where it does not know that one at all, ours goes beyond it.

        Args:
            apex: folded name.
        """
        self._overtaken.add(apex)
        self._changed.set()

    def doubt(self) -> None:
        """Give every zone another serial, and begin its history anew: the store has lost writes, maybe serials too."""
        self._claims.doubt()
        for kept in self._zones.values():
            kept.confirmed = False
        self._changed.set()

    # --- life ---------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Make the first versions, so that the first answers show their serials already."""
        try:
            await self._make()
        except Exception as error:  # noqa: BLE001 - answers do without them
            self._failed(error)

    async def run(self) -> None:
        """Make versions until cancelled."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._tell()
                await self._wait()
                await self._make()
            except Exception as error:  # noqa: BLE001 - answers go on, and so do the other parts of the server
                self._failed(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                pause = FIRST_PAUSE_SECONDS

    def _failed(self, error: Exception) -> None:
        self.counts["failed"] += 1
        log.error("no new versions of zones for secondaries, by a fault of ours", exc_info=error)

    def _note(self, delta: Delta) -> None:
        """Take note of a generation; whatever it costs, answers to others wait for it."""
        if delta.zones or delta.removed_zones:
            self._everything = True
        elif not delta.put and not delta.removed:
            return
        self._names.update(delta.put)
        self._names.update(delta.removed)
        if self._waiting_since is None:
            self._waiting_since = delta.generation
        self._changed.set()

    async def _wait(self) -> None:
        """Wait until there is something to compare, or to ask the store again."""
        with contextlib.suppress(TimeoutError):
            alone = any(not kept.confirmed for kept in self._zones.values())
            async with asyncio.timeout(RETRY_SECONDS if alone else None):
                await self._changed.wait()
        if self._changed.is_set():
            await asyncio.sleep(self._settings().coalesce_seconds)

    # --- making -------------------------------------------------------------------------------------------------

    async def _make(self) -> None:
        """Compare what has changed, and make a version of each zone whose records do."""
        names, self._names = self._names, set()
        everything, self._everything = self._everything or len(names) > MOST_NAMES, False
        self._under_way, self._waiting_since = self._waiting_since, None
        self._changed.clear()
        publisher = self._publisher
        generation = publisher.generation
        published = Published(
            generation=generation,
            revision=publisher.fleet.revision,
            first=generation if self._under_way is None else self._under_way,
        )
        try:
            zones = publisher.fleet.spec.zones
            steps = await self._all_steps(zones) if everything else dict(self._steps(names, zones))
            versions = await self._take(steps, published)
            if everything:
                self._zones = {apex: self._zones[apex] for apex in zones}
        except BaseException:
            # What was compared is lost: compare all of it.
            self._everything = True
            self._waiting_since = published.first
            self._changed.set()
            raise
        finally:
            self._under_way = None
        if versions:
            for version in versions:
                self.counts["made" if self._zones[version.apex].confirmed else "alone"] += 1
            self._untold += versions
            publisher.give_serials({version.apex: version.serial for version in versions})

    def _steps(self, names: Iterable[bytes], zones: Mapping[bytes, Zone]) -> Iterable[tuple[bytes, Step]]:
        """Yield what names of the overlay change, by zone."""
        overlay = self._publisher.fleet.overlay
        by_zone: dict[bytes, dict[bytes, ZoneNode | None]] = {}
        for name in names:
            zone = closest_zone(zones, name)
            if zone is not None:
                by_zone.setdefault(zone.apex, {})[name] = overlay.get(name)
        for apex, nodes in by_zone.items():
            step = self._zones[apex].mirror.stepped(nodes)
            if step is not None:
                yield apex, step

    async def _all_steps(self, zones: Mapping[bytes, Zone]) -> dict[bytes, Step]:
        mirrors = {apex: kept.mirror for apex, kept in self._zones.items()}
        # A thread: a large zone takes seconds, and drains must not wait for it.
        return await asyncio.to_thread(_steps_to, mirrors, zones, dict(self._publisher.fleet.overlay))

    async def _take(self, steps: dict[bytes, Step], published: Published) -> list[ZoneVersion]:
        """Claim serials for what differs, and return the versions that they make."""
        for apex, kept in self._zones.items():
            if not kept.confirmed:
                steps.setdefault(apex, Step(kept.mirror, (), ()))
        overtaken, self._overtaken = self._overtaken & self._zones.keys(), set()
        for apex in overtaken:
            steps.setdefault(apex, Step(self._zones[apex].mirror, (), ()))
        contents = {apex: _content(step.mirror) for apex, step in steps.items()}
        wanted = [
            apex
            for apex in steps
            if apex not in self._zones or apex in overtaken or self._claims.needed(contents[apex])
        ]
        given = dict(zip(wanted, await self._claims.claim([contents[apex] for apex in wanted]), strict=True))
        most_records = self._settings().history_records
        versions = []
        for apex, step in steps.items():
            known = self._zones.get(apex)
            if known is None:
                self._zones[apex] = KeptZone(step.mirror, given[apex], published)
                versions.append(self._zones[apex].version)
            elif apex in given and given[apex].serial != known.version.serial:
                versions.append(known.advance(step, given[apex], published, most_records=most_records))
            else:
                known.mirror = step.mirror
        return versions

    async def _tell(self) -> None:
        """Tell of new versions, once the workers show their serials."""
        if not self._untold:
            return
        await self._publisher.wait_generation(self._publisher.generation, timeout_seconds=SHOWN_SECONDS)
        versions, self._untold = self._untold, []
        for version in versions:
            for listener in self.on_version:
                try:
                    listener(version)
                except Exception as error:  # noqa: BLE001 - whoever it is, the others must hear of it
                    self._failed(error)


def _steps_to(mirrors: Mapping[bytes, Mirror], zones: Mapping[bytes, Zone], overlay: Overlay) -> dict[bytes, Step]:
    """Return what all zones become.

    Args:
        mirrors: of those that were there before.
        zones: those that are there now.
    """
    laid = laid_over(zones, overlay)
    return {
        apex: mirrors[apex].become(zone, laid[apex])
        if apex in mirrors
        else Step(Mirror.of(zone, laid[apex]), (), (), whole=True)
        for apex, zone in zones.items()
    }


def _content(mirror: Mirror) -> Content:
    zone = mirror.zone
    return Content(
        zone=to_text(zone.apex), digest=digest_text(mirror.digest), file_serial=serial_of(zone.soa.rdatas[0])
    )
