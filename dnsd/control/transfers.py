"""What the control plane has for secondaries, put together: serials, versions of zones, and how far each of them is.

It owns how these know of each other. It speaks to no secondary: `adapters/transfer/` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from dnsd.config.settings import Settings
from dnsd.control.farservers import FarServers
from dnsd.control.publisher import Publisher
from dnsd.control.rivalry import Rivalry
from dnsd.control.serialclaims import SerialClaims
from dnsd.control.zoneversions import VersionKeeper
from dnsd.stores.base import DrainStore
from dnsd.stores.laststate import HandedSerial


class Transfers(NamedTuple):
    """The parts of a server that hands zones to secondaries; each is None where nobody may have any."""

    claims: SerialClaims | None = None
    versions: VersionKeeper | None = None
    secondaries: FarServers | None = None


def transfers_of(
    store: DrainStore,
    publisher: Publisher,
    *,
    settings: Callable[[], Settings],
    kept: Mapping[str, HandedSerial] | None,
    clock: Callable[[], float],
    steady: Callable[[], float],
) -> Transfers:
    """Return the parts, by what is configured at the start.

    Args:
        settings: gives those of now; a reload neither begins nor ends transfers.
        kept: with which serials zones were handed out before the start.
        clock: gives the present instant.
        steady: gives seconds on a clock that nobody sets.
    """
    first = settings().transfer
    if first is None:
        return Transfers()
    claims = SerialClaims(store, clock=clock, kept=kept)
    versions = VersionKeeper(publisher, claims, settings=lambda: settings().transfer or first)
    secondaries = FarServers(
        publisher,
        versions,
        secondaries=lambda: (settings().transfer or first).secondaries,
        zones=lambda: settings().zones,
        clock=clock,
        steady=steady,
        rivalry=Rivalry(heard=versions.heard, overtaken=versions.overtaken),
    )
    versions.on_version.append(secondaries.note_version)
    return Transfers(claims, versions, secondaries)
