"""The configured ways of answering besides plain DNS, in the form in which workers take them."""

from __future__ import annotations

from collections.abc import Iterable

from dnsd.config.settings import Settings
from dnsd.model.endpoint import Endpoint
from dnsd.transports.sockets import Address
from dnsd.workers.messages import Fronts


def fronts_of(settings: Settings) -> Fronts:
    """Return them for the order that opens a worker's sockets."""
    return Fronts(
        tls=_plain(settings.tls_listen),
        https=_plain(settings.https_listen),
        https_path=settings.https_path,
        proxies=settings.proxies,
    )


def _plain(endpoints: Iterable[Endpoint]) -> tuple[Address, ...]:
    # A worker must be able to unpickle them without the modules of the configuration.
    return tuple((host, port) for host, port in endpoints)
