"""One zone at one secondary: told of each version until it takes note, and asked which serial it has.

telling:  told ──a new version──► telling ──an answer──► told ──still behind, long after──► telling
                                   │   ▲ └──port unreachable, told too often──► in vain ──answers again──► telling
                                   └───┘ no answer: again, later each time; a newer version: again, at once
asking:   level (every few seconds) ──behind──► twice a second ──level──► level
          any ──no answer──► silent, asked again later each time

It keeps nothing of what it hears: that is for `FarServers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from dnsd.adapters.context import Complaints
from dnsd.adapters.transfer.asking import UNREACHABLE, Correspondent, NoAnswer
from dnsd.adapters.transfer.slots import Slots
from dnsd.config.transfer import Secondary
from dnsd.control.farservers import FarServers
from dnsd.core.names import to_text
from dnsd.core.zoneversion import ZoneRecord, ZoneVersions

# How long until a NOTIFY without an answer is sent again, and how often it is at most: RFC 1996 §3.6 recommends 60 s.
# A drain waits for it, so it begins sooner, and is as rare later on. Unit: seconds.
NOTIFY_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0)

# How long an answer to NOTIFY may take: longer than any way there and back. Unit: seconds.
NOTIFY_ANSWER_SECONDS = 5.0

# A secondary that has taken note, and is behind so long after, is told again: a transfer may have failed. Unit:
# seconds.
TELL_AGAIN_SECONDS = 30.0

# How long each try to hear its serial may take. Unit: seconds.
ASK_WAITS = (1.0, 2.0, 2.0)

# How long until a secondary that is behind is asked again. Unit: seconds.
BEHIND_SECONDS = 0.5

# However much happens, it is told of a zone and asked for it ten times a second at most: each time may cost it a
# transfer, which brings all that has come meanwhile. Unit: seconds.
LEAST_SECONDS = 0.1

# How long until one that did not answer is asked again; doubled each time, up to the most. Unit: seconds; silences.
SILENT_SECONDS, MOST_SILENT_SECONDS, MOST_SILENCES = 0.5, 4.0, 8

# What came of a NOTIFY, as it is counted, beside what `asking` has.
OK, REFUSED = "ok", "refused"


class Courier:
    """Tells a secondary of a zone's versions, and asks how far it is.

    Args:
        zone: folded apex.
        correspondent: how it is reached.
        slots: for all that is sent to it.
        far: told of all that is heard.
    """

    def __init__(
        self,
        secondary: Secondary,
        zone: bytes,
        correspondent: Correspondent,
        *,
        versions: ZoneVersions,
        far: FarServers,
        complaints: Complaints,
        slots: Slots,
    ) -> None:
        self._secondary = secondary
        self._zone = zone
        self._name = dns.name.from_wire(zone, 0)[0]
        self._correspondent = correspondent
        self._versions = versions
        self._far = far
        self._complaints = complaints
        self._slots = slots
        self._news = asyncio.Event()
        self._look = asyncio.Event()
        self._sent_at = float("-inf")
        self._ended: str | None = None  # how the last NOTIFY ended, as it is counted
        self._silences = 0
        self._news.set()  # the version of the start

    def changed(self) -> None:
        """Tell of the version that the zone has now, and see when it is there."""
        self._news.set()
        self._look.set()

    async def run(self) -> None:
        """Tell and ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask_on())
            if self._secondary.notify:
                group.create_task(self._tell_on())

    # --- telling (RFC 1996) -------------------------------------------------------------------------------------

    async def _tell_on(self) -> None:
        while True:
            await self._news.wait()
            await self._tell()
            await asyncio.sleep(LEAST_SECONDS)

    async def _tell(self) -> None:
        """Send NOTIFY until it is answered, a newer version has come, or it was sent too often.

        RFC 1996 §3.6 also ends it with "an ICMP message indicating that the port is unreachable": whoever comes to be
        there is told as soon as it answers a question.
        """
        loop = asyncio.get_running_loop()
        for wait in NOTIFY_WAITS:
            self._news.clear()
            version = self._versions.current(self._zone)
            if version is None:  # the zone has gone, and this courier goes with it
                return
            self._sent_at = loop.time()
            self._ended = await self._notify(version.soa, timeout_seconds=min(wait, NOTIFY_ANSWER_SECONDS))
            self._far.notified(self._secondary.name, self._ended)
            if self._ended in (OK, REFUSED, UNREACHABLE):
                self._look.set()
                return
            if await within(self._news, self._sent_at + wait - loop.time()):
                return

    async def _notify(self, soa: ZoneRecord, *, timeout_seconds: float) -> str:
        """Send NOTIFY once; return what came of it, as it is counted."""
        message = _notify_message(self._name, soa)
        try:
            async with self._slots:
                answer = await self._correspondent.ask(message, timeout_seconds=timeout_seconds)
        except NoAnswer as error:
            self._complain("NOTIFY", str(error))
            return error.result
        if answer.rcode() == dns.rcode.NOERROR:
            return OK
        self._complain("NOTIFY", f"it answers {dns.rcode.to_text(answer.rcode())}")
        return REFUSED

    # --- asking -------------------------------------------------------------------------------------------------

    async def _ask_on(self) -> None:
        while True:
            self._look.clear()
            await self._ask()
            await asyncio.sleep(LEAST_SECONDS)
            await within(self._look, self._pause())

    def _pause(self) -> float:
        """Return how long to wait until the next question."""
        if self._silences:
            return min(SILENT_SECONDS * 2.0 ** (self._silences - 1), MOST_SILENT_SECONDS)
        if self._is_behind():
            return BEHIND_SECONDS
        return self._far.level_seconds(self._secondary)

    async def _ask(self) -> None:
        try:
            serial = await self._serial()
        except NoAnswer as error:
            self._silences = min(self._silences + 1, MOST_SILENCES)
            self._far.failed(self._secondary.name, self._zone, str(error))
            self._complain("its serial is not known", str(error))
            return
        is_back, self._silences = self._silences > 0, 0
        if is_back:
            self._complain("its serial is known again", f"it has {serial}", level=logging.INFO)
        self._far.answered(self._secondary.name, self._zone, serial)
        long_ago = asyncio.get_running_loop().time() - self._sent_at >= TELL_AGAIN_SECONDS
        missed = is_back or self._ended == UNREACHABLE or (self._ended in (OK, REFUSED) and long_ago)
        if missed and self._is_behind():
            self._news.set()

    def _is_behind(self) -> bool:
        return self._far.is_behind(self._secondary.name, self._zone)

    async def _serial(self) -> int:
        """Return the serial that the secondary has.

        Raises:
            NoAnswer: it does not say.
        """
        for wait in ASK_WAITS[:-1]:
            with contextlib.suppress(NoAnswer):
                return await self._serial_once(wait)
        return await self._serial_once(ASK_WAITS[-1])

    async def _serial_once(self, timeout_seconds: float) -> int:
        query = dns.message.make_query(self._name, dns.rdatatype.SOA, flags=0)
        async with self._slots:
            answer = await self._correspondent.ask(query, timeout_seconds=timeout_seconds)
        if answer.rcode() != dns.rcode.NOERROR:
            raise NoAnswer(REFUSED, dns.rcode.to_text(answer.rcode()))
        found = answer.get_rrset(answer.answer, self._name, dns.rdataclass.IN, dns.rdatatype.SOA)
        if found is None or not answer.flags & dns.flags.AA:
            raise NoAnswer(REFUSED, "it is no server of this zone")
        serial: int = found[0].serial
        return serial

    def _complain(self, kind: str, why: str, *, level: int = logging.WARNING) -> None:
        name, zone = self._secondary.name, to_text(self._zone)
        self._complaints.say(f"secondary {name}, {kind}", f"{zone}: {why}", level=level)


def _notify_message(name: dns.name.Name, soa: ZoneRecord) -> dns.message.Message:
    """Return NOTIFY of a version (RFC 1996 §3.7): the new SOA is along, so that a level secondary need not ask."""
    message = dns.message.make_query(name, dns.rdatatype.SOA, flags=dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    rdata = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.SOA, soa.rdata, 0, len(soa.rdata))
    message.answer.append(dns.rrset.from_rdata(name, soa.ttl, rdata))
    return message


async def within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but no longer than so many seconds; say whether it came."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return False
    return True
