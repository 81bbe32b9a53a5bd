"""What the control process and a worker say to each other over their channel.

control → worker                                worker → control
    Configure how to answer, whatever is asked for
    Certify   who to be to TLS clients
    Load      a whole snapshot                      Applied   it answers from that generation; what it answered before
    Delta     the next generation, zones included   Ready     its sockets are open
    Open      listen and answer                     Counters  every second, and when asked
    Count     send counters now                     Failed    it cannot serve, and ends
    Stop      end

A worker opens its sockets only when told to, and messages keep their order: so it never answers from an older
generation than the last one that was sent to it before `Open`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from dnsd.core.policy import AnswerPolicy
from dnsd.core.records import Snapshot
from dnsd.core.trace import Answered
from dnsd.transports.limits import TcpLimits
from dnsd.transports.sockets import Address

KeyT = TypeVar("KeyT")


@dataclass(frozen=True, slots=True)
class Configure:
    """Answer by this policy; it comes before the first snapshot."""

    policy: AnswerPolicy


@dataclass(frozen=True, slots=True)
class Certify:
    """Use this certificate for the TLS connections from now on; where there are any, it comes before `Open`."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fronts:
    """Where a worker answers besides plain DNS, and whose word it takes for whom a client is.

    Args:
        tls: IP addresses and ports for DNS over TLS.
        https: those for DNS over HTTPS.
        https_path: where queries are taken there.
        proxies: networks whose members must send a PROXY header, on every address and transport.
    """

    tls: tuple[Address, ...] = ()
    https: tuple[Address, ...] = ()
    https_path: str = "/dns-query"
    proxies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Load:
    """Answer from this snapshot, the first; deltas follow on it."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Listen on these addresses, each over UDP and TCP, and answer.

    Args:
        listen: IP addresses and ports.
        fronts: the other addresses, which are for TCP alone.
        orphan_seconds: how long to go on answering after the control process has died.
    """

    listen: tuple[Address, ...]
    fronts: Fronts = Fronts()
    tcp_limits: TcpLimits
    orphan_seconds: float

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All that is listened on."""
        return (*self.listen, *self.fronts.tls, *self.fronts.https)


@dataclass(frozen=True, slots=True)
class Count:
    """Send `Counters` now.

    Args:
        number: comes back in `Counters.asked`.
    """

    number: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop listening, send what is unsent, and end."""


@dataclass(frozen=True, slots=True)
class Applied:
    """From now on every answer is rendered from this generation.

    Args:
        generation, revision: those of the snapshot.
        answered: by owner, of the pools that it replaced or removed: the answers from before it.
    """

    generation: int
    revision: int
    answered: Mapping[bytes, Answered] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker's sockets are open and it answers."""

    pid: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker cannot serve and ends.

    Args:
        reason: one line.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What a worker has done since it began; sums of several workers have the same form.

    Args:
        queries: answers by transport (`udp`, `tcp`) and RCODE.
        dropped: packets that got no answer, such as responses.
        failures: queries that met a fault of ours and got SERVFAIL, and connections that one ended.
        send_errors: UDP answers that the kernel refused.
        receive_errors: reads of UDP packets that failed.
        tcp_open: TCP connections open now.
        tcp_accepted, tcp_refused, tcp_evicted, tcp_timed_out: see `TcpCounts`.
        events: what else happened, by kind and by which of its outcomes: (`cookies`, `valid`).
        asked: the number of the last `Count` that the worker has seen; without meaning in a sum.
    """

    queries: dict[tuple[str, int], int] = field(default_factory=dict)
    dropped: int = 0
    failures: int = 0
    send_errors: int = 0
    receive_errors: int = 0
    tcp_open: int = 0
    tcp_accepted: int = 0
    tcp_refused: int = 0
    tcp_evicted: int = 0
    tcp_timed_out: int = 0
    events: dict[tuple[str, str], int] = field(default_factory=dict)
    asked: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(
            queries=_sums(self.queries, other.queries),
            dropped=self.dropped + other.dropped,
            failures=self.failures + other.failures,
            send_errors=self.send_errors + other.send_errors,
            receive_errors=self.receive_errors + other.receive_errors,
            tcp_open=self.tcp_open + other.tcp_open,
            tcp_accepted=self.tcp_accepted + other.tcp_accepted,
            tcp_refused=self.tcp_refused + other.tcp_refused,
            tcp_evicted=self.tcp_evicted + other.tcp_evicted,
            tcp_timed_out=self.tcp_timed_out + other.tcp_timed_out,
            events=_sums(self.events, other.events),
        )


def _sums(one: Mapping[KeyT, int], other: Mapping[KeyT, int]) -> dict[KeyT, int]:
    sums = dict(one)
    for key, count in other.items():
        sums[key] = sums.get(key, 0) + count
    return sums
