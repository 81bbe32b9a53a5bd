"""Zones that change, settings, and a running endpoint, for tests of transfers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, cast

import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.zone

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.transfer.conversation import Patience
from dnsd.adapters.transfer.endpoint import TransferEndpoint
from dnsd.config.transfer import Secondary, TransferKey, TransferSettings
from dnsd.control.plane import ControlPlane
from dnsd.core.constants import SOA
from dnsd.core.names import from_text
from dnsd.core.zoneversion import ZoneDiff, ZoneRecord, ZoneVersion
from dnsd.model.endpoint import Endpoint
from tests.support.servers import PATIENCE_SECONDS, free_port
from tests.support.waiting import until

APEX = from_text("example.org.")
FIRST_SERIAL = 2026010101
ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512")

ZONE = """\
example.org.        300 NS    ns1.example.org.
ns1.example.org.    300 A     192.0.2.1
edge.example.org.    60 A     192.0.2.11
edge.example.org.    60 A     192.0.2.12
x.y.example.org.    300 TXT   "below an empty name"
*.wild.example.org. 300 MX    10 ns1.example.org.
odd.example.org.    300 TYPE65280 \\# 3 000102
"""


def record(text: str) -> ZoneRecord:
    """Read a record: owner, TTL, type and data; every name absolute."""
    owner, ttl, rdtype, data = text.split(maxsplit=3)
    kind = dns.rdatatype.from_text(rdtype)
    rdata = dns.rdata.from_text(dns.rdataclass.IN, kind, data, origin=dns.name.root, relativize=False)
    return ZoneRecord(wire_of(dns.name.from_text(owner)), int(kind), int(ttl), rdata.to_wire() or b"")


def records(text: str) -> list[ZoneRecord]:
    """Read a record from each line."""
    return [record(line) for line in text.splitlines()]


def soa(serial: int, *, apex: bytes = APEX) -> ZoneRecord:
    """Return an SOA record."""
    names = from_text("ns1.example.org.") + from_text("hostmaster.example.org.")
    times = b"".join(value.to_bytes(4, "big") for value in (serial, 7200, 900, 1209600, 60))
    return ZoneRecord(apex, SOA, 300, names + times)


def wire_of(name: dns.name.Name) -> bytes:
    """Return a name in wire form."""
    return name.to_wire() or b""


class Versions:
    """The versions of one zone, with all of its history.

    Args:
        first: its records without the SOA.
    """

    def __init__(self, first: Iterable[ZoneRecord], *, serial: int = FIRST_SERIAL, apex: bytes = APEX) -> None:
        self.apex = apex
        self.serial = serial
        self.held: Callable[[], Iterator[ZoneRecord]] = tuple(first).__iter__
        self.history: list[tuple[int, ZoneDiff]] = []

    def change(self, *, removed: Sequence[ZoneRecord] = (), added: Sequence[ZoneRecord] = (), step: int = 1) -> None:
        """Make the next version."""
        before = self.serial
        self.serial = (before + step) % (1 << 32)
        diff = ZoneDiff(
            before=soa(before, apex=self.apex),
            after=soa(self.serial, apex=self.apex),
            removed=tuple(removed),
            added=tuple(added),
        )
        self.history.append((before, diff))
        gone = set(removed)
        kept = [each for each in self.held() if each not in gone]
        self.held = (*kept, *added).__iter__

    def forget(self) -> None:
        """Lose all history."""
        self.history.clear()

    def current(self, apex: bytes) -> ZoneVersion | None:
        """See `ZoneVersions.current`."""
        if apex != self.apex:
            return None
        return ZoneVersion(
            apex=apex,
            serial=self.serial,
            revision=1,
            generation=len(self.history),
            soa=soa(self.serial, apex=apex),
            records=self.held,
        )

    def since(self, apex: bytes, serial: int) -> Sequence[ZoneDiff] | None:
        """See `ZoneVersions.since`."""
        if apex != self.apex:
            return None
        if serial == self.serial:
            return ()
        for place, (before, _) in enumerate(self.history):
            if before == serial:
                return [diff for _, diff in self.history[place:]]
        return None

    def serial_with(self, apex: bytes, generation: int) -> int | None:
        """See `ZoneVersions.serial_with`."""
        return self.serial if apex == self.apex and generation <= len(self.history) else None


def key(name: str = "xfr-key.", algorithm: str = "hmac-sha256", secret: bytes = b"s" * 32) -> TransferKey:
    """Return a key."""
    return TransferKey(name=from_text(name), algorithm=algorithm, secret=secret)


def secondary(
    name: str = "ns2", *, signs: TransferKey | None = None, sources: Sequence[str] = (), zones: Sequence[str] = ()
) -> Secondary:
    """Return a secondary; without a key or networks, one on loopback."""
    if signs is None and not sources:
        sources = ("127.0.0.0/8", "::1")
    return Secondary(
        name=name,
        address=None,
        key=signs,
        sources=tuple(map(ip_network, sources)),
        zones=frozenset(map(from_text, zones)) if zones else None,
        notify=False,
    )


def settings(*secondaries: Secondary, listen: Sequence[Endpoint] = ()) -> TransferSettings:
    """Return settings with these secondaries and their keys."""
    return TransferSettings(
        listen=tuple(listen),
        keys={each.key.name: each.key for each in secondaries if each.key is not None},
        secondaries=secondaries,
        coalesce_seconds=0.0,
        history_records=1000,
    )


def keyring_of(of: TransferKey) -> dict[dns.name.Name, dns.tsig.Key]:
    """Return a key as dnspython takes it."""
    name = dns.name.from_wire(of.name, 0)[0]
    return {name: dns.tsig.Key(name, of.secret, dns.name.from_text(of.algorithm))}


def signed(query: dns.message.Message, of: TransferKey, **more: Any) -> dns.message.Message:
    """Sign a query when it is written."""
    query.use_tsig(keyring_of(of), algorithm=dns.name.from_text(of.algorithm), **more)
    return query


def ixfr_query(serial: int, *, apex: str = "example.org.") -> dns.message.Message:
    """Return an IXFR query of somebody who has a serial."""
    query = dns.message.make_query(apex, "IXFR")
    held = dns.rdata.from_text("IN", "SOA", f". . {serial} 0 0 0 0")
    query.authority.append(dns.rrset.from_rdata(dns.name.from_text(apex), 0, held))
    return query


Contents = set[tuple[bytes, int, int, bytes]]


def contents(zone: dns.zone.Zone) -> Contents:
    """Return a zone's records without its SOA, owners folded."""
    return {
        (
            wire_of(name.derelativize(zone.origin or dns.name.root)).lower(),
            int(rdata.rdtype),
            ttl,
            rdata.to_wire() or b"",
        )
        for name, ttl, rdata in zone.iterate_rdatas()
        if rdata.rdtype != dns.rdatatype.SOA
    }


def expected(held: Iterable[ZoneRecord]) -> Contents:
    """Return the same of what a zone should have."""
    return {(each.owner.lower(), *each[1:]) for each in held}


def serial_of(zone: dns.zone.Zone) -> int:
    """Return a zone's serial."""
    found = zone.get_soa().serial
    assert isinstance(found, int)
    return found


@dataclass(frozen=True, slots=True)
class Served:
    """A running endpoint."""

    endpoint: Endpoint
    counts: Counter[tuple[str, str]]

    def count(self, result: str) -> int:
        """Return how many requests came to something."""
        return self.counts["transfer", result]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection."""
        return await asyncio.open_connection(*self.endpoint)


@contextlib.asynccontextmanager
async def serving(
    versions: Versions, *secondaries: Secondary, patience: Patience | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Served]:
    """Run an endpoint; nothing of it is left afterwards."""
    endpoint = Endpoint(host, free_port())
    given = settings(*secondaries, listen=[endpoint])
    context = AdapterContext(cast(ControlPlane, None), "transfer", given)
    running = asyncio.create_task(TransferEndpoint(context, versions, patience=patience).run())
    try:
        await until(lambda: context.up or running.done())
        if running.done():
            running.result()
        yield Served(endpoint, context.counts)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def framed(message: bytes) -> bytes:
    """Return a message as it stands on TCP."""
    return len(message).to_bytes(2, "big") + message


async def read_framed(reader: asyncio.StreamReader) -> bytes:
    """Return the next message of a connection."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
