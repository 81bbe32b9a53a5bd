"""Checks `[transfer]` and its secondaries: names, networks, and who would be let in by mistake."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from dnsd.config.document import Document, Entry
from dnsd.config.durations import check_duration
from dnsd.config.endpoints import check_listen, read_endpoint
from dnsd.config.findings import Findings, suggestion
from dnsd.config.networks import good_networks
from dnsd.config.owner_names import qualified
from dnsd.config.schema import TransferSecondarySection, TransferSection
from dnsd.config.transfer import Secondary, TransferKey, TransferSettings
from dnsd.config.transfer_keys import TransferKeys
from dnsd.config.zone_names import ZoneNames, zone_names
from dnsd.core import names
from dnsd.model.endpoint import Endpoint
from dnsd.model.node import HOLDER

# A drain that secondaries hear of later than this is hardly one. Unit: seconds.
MOST_COALESCE_SECONDS = 60.0

_Network = IPv4Network | IPv6Network


def check_transfer(
    document: Document, findings: Findings, *, folder: Path, taken: Sequence[Endpoint]
) -> TransferSettings | None:
    """Return the settings of transfers; None: there are none. Problems go to the findings.

    Args:
        folder: what relative paths are relative to.
        taken: the addresses that others listen on.
    """
    entry = document.transfer
    if entry is None:
        return None
    if entry.good("listen") and not entry.section.listen:
        findings.problem(entry.at("listen"), "bad-value", message="name at least one address to listen on")
    keys = TransferKeys(findings, folder)
    for each in document.transfer_keys:
        keys.add(each)
    secondaries = _Secondaries(findings, keys, zone_names(document.zones))
    if not document.transfer_secondaries:
        message = "there is no [[transfer.secondary]], so nobody may transfer anything"
        findings.warning(entry.path, "no-secondaries", message=message)
    for each_secondary in document.transfer_secondaries:
        secondaries.add(each_secondary)
    return TransferSettings(
        listen=check_listen(entry, findings, taken=taken),
        keys=keys.found,
        secondaries=tuple(secondaries.found),
        coalesce_seconds=_coalesce(entry, findings),
        history_records=entry.section.history if entry.good("history") else 0,
    )


def _coalesce(entry: Entry[TransferSection], findings: Findings) -> float:
    if not entry.good("coalesce"):
        return 0.0
    text, place = entry.section.coalesce, entry.at("coalesce")
    return check_duration(text, place, findings, least_seconds=0.0, most_seconds=MOST_COALESCE_SECONDS)


class _Secondaries:
    """The secondaries that were read so far.

    Args:
        findings: for what is wrong.
        keys: what they may sign with.
        zones: what they may have.
    """

    def __init__(self, findings: Findings, keys: TransferKeys, zones: ZoneNames) -> None:
        self.found: list[Secondary] = []
        self._names: set[str] = set()
        self._findings = findings
        self._keys = keys
        self._zones = zones

    def add(self, entry: Entry[TransferSecondarySection]) -> None:
        """Check one `[[transfer.secondary]]`."""
        self._check_name(entry)
        address = self._address(entry)
        key, named = self._key(entry)
        sources = self._sources(entry)
        if not sources and address is not None:
            sources = (ip_network(address.host),)
        if not named and entry.good("address", "sources") and not entry.section.address and not entry.section.sources:
            message = "nothing tells it from a stranger: name its key, its address, or the sources it asks from"
            self._findings.problem(entry.path, "open-secondary", message=message)
        self._check_unseen(entry)
        self._warn_of_anybody(entry, sources, named=named)
        zones = self._zones_of(entry)
        if not entry.faulty:
            section = entry.section
            self.found.append(
                Secondary(
                    name=section.name,
                    address=address,
                    key=key,
                    sources=sources,
                    zones=zones,
                    notify=section.notify and address is not None,
                )
            )

    def _check_name(self, entry: Entry[TransferSecondarySection]) -> None:
        if not entry.good("name"):
            return
        name, place = entry.section.name, entry.at("name")
        if not HOLDER.fullmatch(name):
            message = f"{name!r} cannot be a name in logs and metrics: letters, digits and _ . @ : - , at most 128"
            self._findings.problem(place, "bad-secondary-name", message=message)
        elif name in self._names:
            message = f'there is a secondary named "{name}" already'
            self._findings.problem(place, "duplicate-secondary", message=message)
        self._names.add(name)

    def _address(self, entry: Entry[TransferSecondarySection]) -> Endpoint | None:
        if not entry.good("address") or entry.section.address is None:
            return None
        place = entry.at("address")
        endpoint = read_endpoint(entry.section.address, place, self._findings)
        if endpoint is not None and endpoint.port == 0:
            self._findings.problem(place, "bad-port", message="nobody answers on port 0; the usual port is 53")
        return endpoint

    def _key(self, entry: Entry[TransferSecondarySection]) -> tuple[TransferKey | None, bool]:
        """Return the key, if it is a good one, and whether one is named."""
        if not entry.good("key"):
            return None, True
        text = entry.section.key
        if text is None:
            return None, False
        place = entry.at("key")
        try:
            name = names.from_text(qualified(text))
        except ValueError as error:
            self._findings.problem(place, "bad-name", message=str(error))
            return None, True
        if name not in self._keys.names and self._keys.complete:
            hint = suggestion(text, known=self._keys.names.values())
            message = f'there is no [[transfer.key]] named "{text}"{hint}'
            self._findings.problem(place, "unknown-transfer-key", message=message)
        return self._keys.found.get(name), True

    def _sources(self, entry: Entry[TransferSecondarySection]) -> tuple[_Network, ...]:
        return tuple(network for _, _, network in good_networks(entry, "sources", self._findings))

    def _check_unseen(self, entry: Entry[TransferSecondarySection]) -> None:
        if not entry.good("address", "notify") or entry.section.address is not None:
            return
        if entry.section.notify and "notify" in entry.section.model_fields_set:
            message = "it has no address to be told of changes at"
            self._findings.problem(entry.at("notify"), "notify-nowhere", message=message)
        message = "it has no address, so nobody asks it how far it is: safe to stop does not wait for it"
        self._findings.warning(entry.path, "secondary-unseen", message=message)

    def _warn_of_anybody(
        self, entry: Entry[TransferSecondarySection], sources: Sequence[_Network], *, named: bool
    ) -> None:
        if not named and any(network.prefixlen == 0 for network in sources):
            message = "without a key, everybody is this secondary, and may have its zones"
            self._findings.warning(entry.at("sources"), "secondary-is-anybody", message=message)

    def _zones_of(self, entry: Entry[TransferSecondarySection]) -> frozenset[bytes] | None:
        if not entry.good("zones") or entry.section.zones is None:
            return None
        if not entry.section.zones:
            message = "name a zone, or leave this out: then it may have all"
            self._findings.problem(entry.at("zones"), "bad-value", message=message)
        found: set[bytes] = set()
        for index, text in entry.texts("zones"):
            place = entry.at("zones", index)
            try:
                zone = qualified(text)
            except ValueError as error:
                self._findings.problem(place, "bad-name", message=str(error))
                continue
            if zone not in self._zones.known and self._zones.complete:
                hint = suggestion(zone, known=self._zones.known)
                self._findings.problem(place, "unknown-zone", message=f"there is no zone {zone}{hint}")
            found.add(names.from_text(zone))
        return frozenset(found)
