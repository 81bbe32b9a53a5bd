"""Serials for what a server hands out of its zones: from the store, and by itself while the store is away.

given by the store ──content changes, store away, or it has lost writes──► own (the next odd one, and so on)
        ▲                                              │ store back
        └──────────a newer one, whatever it has────────┘

A serial of our own may be another server's as well, with other content, but none that a store has given: those are
even. It is never made good afterwards: as soon as the store is back, it is replaced by one well beyond. So is one that
secondaries are ahead of with one that the store has not given: else they would take nothing of ours. It knows digests,
and neither records nor secondaries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dnsd.core.serials import SERIALS, beyond, is_newer, made_alone, newest
from dnsd.errors import StoreError
from dnsd.stores.base import DrainStore
from dnsd.stores.claims import SerialClaim
from dnsd.stores.laststate import HandedSerial

log = logging.getLogger(__name__)

# How far a server goes ahead of serials that may not be all that there were: of those in its last state, since it may
# have handed out more in the seconds before its end; of those that it has made alone, since others may have made more;
# and of those that it hears of and the store does not know. Unit: serials.
MARGIN = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a zone needs a serial for.

    Args:
        zone: its name, as text.
        digest: of its records, as text.
        file_serial: that of the zone file.
    """

    zone: str
    digest: str
    file_serial: int


class Given(NamedTuple):
    """A serial for a zone.

    Args:
        confirmed: by the store.
        anew: the one before it was not confirmed, so that nothing must build on that.
    """

    serial: int
    confirmed: bool
    anew: bool


class SerialClaims:
    """Claims serials.

    Args:
        clock: gives the present instant.
        kept: of the last state, by zone.

    Attributes:
        made_alone: how many were made while the store was away.
    """

    def __init__(
        self, store: DrainStore, *, clock: Callable[[], float], kept: Mapping[str, HandedSerial] | None = None
    ) -> None:
        self.made_alone = 0
        self._store = store
        self._clock = clock
        self._kept = dict(kept or {})
        self._handed: dict[str, HandedSerial] = {}
        self._heard: dict[str, int] = {}
        self._away = False
        self._doubts = 0

    @property
    def handed(self) -> dict[str, HandedSerial]:
        """The last serial of each zone that was handed out, now or before the start."""
        return {**self._kept, **self._handed}

    def heard(self, zone: str, serial: int) -> None:
        """Take note that a secondary has a newer serial of a zone than this server, made by another one."""
        self._heard[zone] = serial

    def doubt(self) -> None:
        """Have every zone get another serial, well beyond: the store has lost some, and may give them once more."""
        self._doubts += 1
        self._handed = {zone: each._replace(confirmed=False) for zone, each in self._handed.items()}
        self._kept = {zone: each._replace(confirmed=False) for zone, each in self._kept.items()}

    def needed(self, content: Content) -> bool:
        """Say whether a zone cannot be handed out under the serial that it has."""
        handed = self._handed.get(content.zone)
        return (
            handed is None
            or not handed.confirmed
            or handed.digest != content.digest
            or is_newer(content.file_serial, handed.serial)
        )

    async def claim(self, contents: Sequence[Content]) -> list[Given]:
        """Give each zone a serial that is newer than all that were handed out with other content."""
        claims, doubts = [self._claim(content) for content in contents], self._doubts
        try:
            serials = await self._store.claim_serials(claims) if claims else ()
        except StoreError as error:
            if not self._away:
                log.error("serials of zones are made without the store: %s", error)
            self._away = True
            return [self._by_ourselves(content) for content in contents]
        if claims and self._away:
            log.info("the store gives serials of zones again")
            self._away = False
        # What has come to be doubted meanwhile may have been given before or after the store lost some.
        sure = doubts == self._doubts
        return [self._take(content, serial, sure=sure) for content, serial in zip(contents, serials, strict=True)]

    def _claim(self, content: Content) -> SerialClaim:
        handed, kept = self._handed.get(content.zone), self._kept.get(content.zone)
        at_least, first, known, confirmed = content.file_serial, self._first(content), None, True
        if handed is not None:
            step = MARGIN if not handed.confirmed else int(handed.digest != content.digest)
            at_least = first = beyond(handed.serial, content.file_serial, by=step)
            confirmed = handed.confirmed
        elif kept is not None:
            known, confirmed = kept.serial, kept.confirmed
            if kept.digest not in ("", content.digest):
                # A store that has lost some may have given it once more, for what there is now.
                at_least = beyond(kept.serial, content.file_serial)
        heard = self._heard.get(content.zone)
        if heard is not None and is_newer(heard, at_least if known is None else newest(known, at_least)):
            # The store has given it, or is to go beyond: whoever has made it may be cut off, or gone for ever.
            known, first = heard, beyond(heard, first, by=MARGIN)
        return SerialClaim(
            zone=content.zone,
            digest=content.digest,
            at_least=at_least,
            first=first,
            known=known,
            anew=not confirmed,
        )

    def _first(self, content: Content) -> int:
        """Return what a zone begins with where neither this process nor the store knows more."""
        # The time, so that a store that forgets does not lead back.
        first = newest(content.file_serial, int(self._clock()) % SERIALS)
        kept = self._kept.get(content.zone)
        return first if kept is None else beyond(kept.serial, first, by=MARGIN)

    def _take(self, content: Content, serial: int, *, sure: bool) -> Given:
        before = self._handed.get(content.zone)
        same = before is not None and (serial, content.digest) == (before.serial, before.digest)
        if before is not None and not is_newer(serial, before.serial) and not (same and before.confirmed is sure):
            # Somebody has set what the store keeps, or serials are half the way apart (RFC 1982 §3.2).
            log.error("the store gives %s the serial %d after %d: not taken", content.zone, serial, before.serial)
            return self._by_ourselves(content)
        if not is_newer(self._heard.get(content.zone, serial), serial):
            self._heard.pop(content.zone, None)
        self._handed[content.zone] = HandedSerial(serial, sure, content.digest)
        return Given(serial, sure, before is not None and not before.confirmed)

    def _by_ourselves(self, content: Content) -> Given:
        handed = self._handed.get(content.zone)
        if handed is None:
            serial = made_alone(self._first(content))
        elif handed.digest != content.digest:
            serial = made_alone(beyond(handed.serial, content.file_serial))
        elif is_newer(content.file_serial, handed.serial):
            serial = made_alone(content.file_serial)
        else:
            return Given(handed.serial, handed.confirmed, False)
        self.made_alone += 1
        self._handed[content.zone] = HandedSerial(serial, False, content.digest)
        return Given(serial, False, False)
