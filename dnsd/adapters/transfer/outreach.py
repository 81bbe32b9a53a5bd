"""A courier for each zone at each secondary, as zones come and go."""

from __future__ import annotations

import asyncio

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.transfer.asking import Correspondent, correspondent_of
from dnsd.adapters.transfer.courier import Courier, within
from dnsd.adapters.transfer.slots import Slots
from dnsd.config.transfer import Secondary, TransferSettings
from dnsd.control.farservers import FarServers
from dnsd.core.zoneversion import ZoneVersion, ZoneVersions

# How often it is looked whether a zone has gone; one that has come is told. Unit: seconds.
LOOK_SECONDS = 5.0


class Outreach:
    """Everything that is sent to secondaries unasked.

    Args:
        context: of the adapter.
        versions: what there is to tell of.
        far: told of what is heard.
    """

    def __init__(self, context: AdapterContext[TransferSettings], versions: ZoneVersions, far: FarServers) -> None:
        self._context = context
        self._versions = versions
        self._far = far
        self._reached = [_Reached(each, context.settings) for each in context.settings.secondaries]
        self._couriers: dict[tuple[str, bytes], tuple[Courier, asyncio.Task[None]]] = {}
        self._of_zone: dict[bytes, list[Courier]] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Tell and ask until cancelled.

        Raises:
            ExceptionGroup: a fault of ours.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                self._adjust(group)
                await within(self._changed, LOOK_SECONDS)

    def made(self, version: ZoneVersion) -> None:
        """Tell of a new version of a zone."""
        couriers = self._of_zone.get(version.apex, ())
        for courier in couriers:
            courier.changed()
        if not couriers:
            self._changed.set()

    def _adjust(self, group: asyncio.TaskGroup) -> None:
        wanted = {
            (each.secondary.name, apex): each
            for each in self._reached
            for apex in self._context.plane.settings.zones
            if each.correspondent is not None and each.secondary.has_zone(apex)
            if self._versions.current(apex) is not None
        }
        for key in self._couriers.keys() - wanted.keys():
            self._couriers.pop(key)[1].cancel()
        for key, each in wanted.items():
            if key not in self._couriers and each.correspondent is not None:
                courier = self._courier(each, key[1], each.correspondent)
                self._couriers[key] = courier, group.create_task(courier.run(), name=f"courier of {key[0]}")
        self._of_zone = {}
        for (_, apex), (courier, _) in self._couriers.items():
            self._of_zone.setdefault(apex, []).append(courier)
        self._far.forget_others()

    def _courier(self, reached: _Reached, apex: bytes, correspondent: Correspondent) -> Courier:
        return Courier(
            reached.secondary,
            apex,
            correspondent,
            versions=self._versions,
            far=self._far,
            complaints=self._context.complaints,
            slots=reached.slots,
        )


class _Reached:
    """A secondary, how it is reached, and how much may be under way to it."""

    def __init__(self, secondary: Secondary, settings: TransferSettings) -> None:
        self.secondary = secondary
        self.correspondent = correspondent_of(secondary, settings.listen)
        self.slots = Slots()
