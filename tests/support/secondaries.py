"""Knot, NSD and BIND as secondaries, set as the page on them prints it: only addresses, ports and paths are others."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import psutil

from dnsd.config.transfer import TransferKey
from tests.support.peers import ASK_SECONDS, Peer
from tests.support.servers import PATIENCE_SECONDS, free_port

PAGE = Path(__file__).parents[2] / "docs" / "integrations" / "secondaries.md"
ZONES = ("example.org.", "example.net.")

# What tests need beside what the page prints: anybody may transfer the zones from a secondary, to compare them.
OPEN: Mapping[str, Mapping[str, str]] = {
    "knot": {
        "    action: notify\n": ("    action: notify\n  - id: anybody\n    address: 127.0.0.1\n    action: transfer\n"),
        "acl: notify-from-dnsd": "acl: [notify-from-dnsd, anybody]",
    },
    "nsd": {"  request-xfr:": "  provide-xfr: 127.0.0.1 NOKEY\n  request-xfr:"},
    "bind": {},
}

# What the page calls dnsd and the secondaries.
PRIMARY = ("192.0.2.1", "5354")
PRINTED = {"knot": "192.0.2.71", "nsd": "192.0.2.72", "bind": "192.0.2.73"}


def block(language: str) -> str:
    """Return the page's first block of code in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everybody is, on 127.0.0.1.

    Args:
        primary: where dnsd is asked for transfers.
        of: each secondary's, by its name in `PRINTED`.
    """

    primary: int
    of: Mapping[str, int]

    def put(self, text: str) -> str:
        """Return a text of the page with the addresses and ports that there are here."""
        for name, address in PRINTED.items():
            text = text.replace(f"{address}@53", f"127.0.0.1@{self.of[name]}")
            text = text.replace(f"{address}:53", f"127.0.0.1:{self.of[name]}")
            text = text.replace(f"port 53 {{ {address}; }}", f"port {self.of[name]} {{ 127.0.0.1; }}")
        for mark in ("@", ":", " port "):
            text = text.replace(mark.join(PRIMARY), f"127.0.0.1{mark}{self.primary}")
        return text.replace(PRIMARY[0], "127.0.0.1")


class Secondary(Peer):
    """A secondary as the page has it.

    Args:
        name: one of `PRINTED`.
        folder: see `Peer`.
        change: text of the page → other text.
    """

    def __init__(self, name: str, folder: Path, ports: Ports, *, change: Mapping[str, str]) -> None:
        super().__init__(name, {}, folder)
        self.zones = dict.fromkeys(ZONES, folder)
        self.port = ports.of[name]
        text = block(name)
        for before, after in change.items():
            assert before in text, before
            text = text.replace(before, after)
        text = ports.put(text)
        assert "192.0.2." not in text
        # The folders that packages make, and the user that they make for it.
        text = re.sub(r"/(?:run|var/lib|var/cache)/(?:knot|nsd|named|bind)\b", str(folder), text)
        self.config.write_text(text.replace("username: nsd", 'username: ""'))

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes, as SIGSTOP."""
        assert self.process is not None
        own = psutil.Process(self.process.pid)
        for process in (own, *own.children(recursive=True)):
            process.send_signal(number)

    def serial(self, zone: str = "example.org.") -> int | None:
        """Return the serial that it answers; None: it answers none."""
        try:
            response = dns.query.udp(
                dns.message.make_query(zone, "SOA"), "127.0.0.1", port=self.port, timeout=ASK_SECONDS
            )
        except (dns.exception.Timeout, OSError):
            return None
        return response.answer[0][0].serial if response.answer else None

    def answer(self, name: str, rdtype: str = "A") -> set[str]:
        """Return the data that it answers for a name, of that type; the name is there."""
        response = dns.query.udp(
            dns.message.make_query(name, rdtype), "127.0.0.1", port=self.port, timeout=PATIENCE_SECONDS
        )
        assert response.rcode() == dns.rcode.NOERROR, response
        wanted = dns.rdatatype.from_text(rdtype)
        return {rdata.to_text() for rrset in response.answer if rrset.rdtype == wanted for rdata in rrset}


def transferred(port: int, zone: str, *, key: TransferKey | None = None) -> set[str]:
    """Return every record that a server transfers, as text, its SOA once.

    Args:
        key: what to sign with; None: nothing.

    Raises:
        dns.xfr.TransferError: it does not transfer the zone.
    """
    signing: dict[str, Any] = {}
    if key is not None:
        name = dns.name.from_wire(key.name, 0)[0]
        ring = {name: dns.tsig.Key(name, key.secret, key.algorithm)}
        signing = {"keyring": ring, "keyname": name, "keyalgorithm": dns.name.from_text(key.algorithm)}
    messages = dns.query.xfr("127.0.0.1", zone, port=port, lifetime=PATIENCE_SECONDS, relativize=False, **signing)
    return {
        f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for message in messages
        for rrset in message.answer
        for rdata in rrset
    }


@contextlib.contextmanager
def secondaries(
    *names: str, primary: int | None = None, change: Mapping[str, Mapping[str, str]] = OPEN
) -> Iterator[tuple[Ports, dict[str, Secondary]]]:
    """Run secondaries for the length of a test or a module, not waiting for them; nothing of them is left afterwards.

    Args:
        names: of `PRINTED`; none: all.
        primary: dnsd's port for transfers; None: a free one.
        change: by name, text of the page → other text.
    """
    ports = Ports(primary or free_port(), {name: free_port() for name in PRINTED})
    with contextlib.ExitStack() as stack:
        running: dict[str, Secondary] = {}
        for name in names or PRINTED:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dnsd-sec-"))
            running[name] = Secondary(name, Path(folder), ports, change=change.get(name, {}))
            stack.callback(running[name].stop)
        yield ports, running
