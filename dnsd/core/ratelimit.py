"""Response rate limiting: how often one network gets answers alike over UDP, where anybody can pretend to be it.

It owns the accounts of networks and judges one answer at a time. It has no clock and knows no packets: the engine asks
it only while it has a limiter, and whoever gives it one decides when that is.

An answer is counted under the client's network and, much as BIND and NSD do it, under what it says: data, aliases and
referrals under the name that they are of, a synthesised name under what it was made from; NODATA and NXDOMAIN under the
zone; errors under nothing else. So neither made-up names nor a wildcard open a new account with each query, and a
resolver that asks for many names has one for each.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_network

from dnsd.core.answer import Answer, Kind
from dnsd.core.buckets import BUCKETS, Buckets, Rate

# Clients whose network is remembered, since reading an address costs more than all else here. Unit: clients.
KNOWN_CLIENTS = 4_096

# Networks over their limit that are told apart, for the log. Unit: networks.
OFFENDERS = 64

_IPV6 = 1 << 128  # added to IPv6 numbers, so that they are none of IPv4
_ALLOWED = -1  # in place of a network's number

# What accounts without a name begin with; the first length of a name is 63 at most (RFC 1035 §2.3.4).
_ALL, _NODATA, _NXDOMAIN, _ERROR = b"\xfc", b"\xfd", b"\xfe", b"\xff"


class Verdict(enum.Enum):
    """What becomes of an answer; over the limit, the value is what the metric calls it."""

    ALLOW = "allowed"  # the client has no limit
    SEND = "sent"
    SLIP = "slipped"  # no records, with TC where there were any: who really asked can come back over TCP
    DROP = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """How much a network gets.

    Args:
        responses_per_second: answers alike, to one network; above 0.
        total_per_second: answers to one network, whatever it asks for; 0: any number.
        window_seconds: a network that was quiet may have so many seconds' worth at once; above 0.
        slip: of the answers over the limit, one in so many slips; 0: none, 1: each.
        ipv4_prefix: bits that make a network, 8 to 32.
        ipv6_prefix: likewise, 32 to 128.
        allow: networks without a limit, as `192.0.2.0/24`.
        starts_at: answers per second over UDP, to all networks together, from which on there are limits.
    """

    responses_per_second: float
    total_per_second: float = 0.0
    window_seconds: float = 2.0
    slip: int = 2
    ipv4_prefix: int = 24
    ipv6_prefix: int = 56
    allow: tuple[str, ...] = ()
    starts_at: float = 0.0

    def shared_by(self, workers: int) -> RateLimit:
        """Return the part of one of so many workers, over which the kernel spreads the queries of a network."""
        return replace(
            self,
            responses_per_second=self.responses_per_second / workers,
            total_per_second=self.total_per_second / workers,
            starts_at=self.starts_at / workers,
        )


class Limiter:
    """Judges answers by a limit.

    Args:
        limit: the limit.
        buckets: accounts that are kept.
    """

    __slots__ = ("_allowed", "_buckets", "_known", "_offenders", "_over", "_rate", "_total", "limit")

    def __init__(self, limit: RateLimit, *, buckets: int = BUCKETS) -> None:
        self.limit = limit
        self._buckets = Buckets(buckets)
        self._rate = Rate(limit.responses_per_second, window_seconds=limit.window_seconds)
        self._total: Rate | None = None
        if limit.total_per_second:
            self._total = Rate(limit.total_per_second, window_seconds=limit.window_seconds)
        self._allowed = _Networks(limit.allow)
        self._known: dict[str, int] = {}
        self._offenders: dict[int, int] = {}
        self._over = 0

    def judge(self, answer: Answer | None, *, peer: str, now: float) -> Verdict:
        """Say what becomes of an answer, and count it.

        Args:
            answer: None: the query cannot be read, and an error says so.
            peer: IP address of the client, in text; all without one share a network.
            now: seconds since the epoch.
        """
        network = self._known.get(peer)
        if network is None:
            network = self._look_at(peer)
        if network == _ALLOWED:
            return Verdict.ALLOW
        take = self._buckets.take
        if take(hash((network, subject_of(answer))), self._rate, now=now) and (
            self._total is None or take(hash((network, _ALL)), self._total, now=now)
        ):
            return Verdict.SEND
        self._note(network)
        self._over += 1
        slip = self.limit.slip
        return Verdict.SLIP if slip and self._over % slip == 0 else Verdict.DROP

    def grants(self, subject: bytes, *, peer: str, now: float) -> bool:
        """Say whether an answer is within the limit, and count it; where not, nothing is counted and `judge` decides.

        Args:
            subject: what `subject_of` says of the answer.
            peer, now: as in `judge`.
        """
        network = self._known.get(peer)
        if network is None:
            network = self._look_at(peer)
        if network == _ALLOWED:
            return True
        # Of two limits, one would be charged here and once more by `judge`.
        return self._total is None and self._buckets.take(hash((network, subject)), self._rate, now=now)

    def busiest(self) -> str:
        """Return the network with most answers over the limit since the last call, as `192.0.2.0/24`, or nothing."""
        if not self._offenders:
            return ""
        network = max(self._offenders, key=self._offenders.__getitem__)
        self._offenders.clear()
        prefix = self.limit.ipv6_prefix
        if network >= 1 << prefix:
            return str(IPv6Network(((network << 128 - prefix) - _IPV6, prefix)))
        prefix = self.limit.ipv4_prefix
        return str(IPv4Network((network << 32 - prefix, prefix)))

    def _look_at(self, peer: str) -> int:
        """Return the number of a client's network, or `_ALLOWED`, and remember it."""
        if len(self._known) >= KNOWN_CLIENTS:
            self._known.clear()
        network = self._known[peer] = self._network_of(peer)
        return network

    def _network_of(self, peer: str) -> int:
        try:
            number = _number_of(peer)
        except ValueError:
            return 0
        if number in self._allowed:
            return _ALLOWED
        return number >> (128 - self.limit.ipv6_prefix if number >= _IPV6 else 32 - self.limit.ipv4_prefix)

    def _note(self, network: int) -> None:
        """Count a network that is over its limit, few at a time.

        As Misra and Gries do it (1982): one that has a large part of all is not pushed out by many with a small one.
        """
        offenders = self._offenders
        if network in offenders:
            offenders[network] += 1
        elif len(offenders) < OFFENDERS:
            offenders[network] = 1
        else:
            self._offenders = {each: count - 1 for each, count in offenders.items() if count > 1}


def subject_of(answer: Answer | None) -> bytes:
    """Return what an answer is counted under beside the network."""
    if answer is None:
        return _ERROR
    kind, name, zone = answer.kind, answer.closest_encloser, answer.zone
    # The name itself; of one that a wildcard or a DNAME made, the name above the one or of the other; of a referral,
    # the delegation's.
    if (kind is Kind.DATA or kind is Kind.ALIAS or kind is Kind.REFERRAL) and name is not None:
        return name
    if kind is Kind.NXDOMAIN and zone is not None:
        return _NXDOMAIN + zone.apex
    if kind is Kind.NODATA and zone is not None:
        return _NODATA + zone.apex
    return _ERROR


class _Networks:
    """Networks, of which one is found among many in a few steps."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, texts: Iterable[str]) -> None:
        networks = [ip_network(text) for text in texts]
        merged: list[IPv4Network | IPv6Network] = [
            *collapse_addresses(each for each in networks if isinstance(each, IPv4Network)),
            *collapse_addresses(each for each in networks if isinstance(each, IPv6Network)),
        ]
        self._firsts = [_number_of(str(network[0])) for network in merged]
        self._lasts = [_number_of(str(network[-1])) for network in merged]

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]


def _number_of(peer: str) -> int:
    """Return the number of an address in text.

    Raises:
        ValueError: it is none.
    """
    if ":" in peer:
        return int(IPv6Address(peer)) + _IPV6
    # A flood from made-up networks pays for this with each packet; `IPv4Address` takes three times as long.
    one, two, three, four = peer.split(".")
    return int(one) << 24 | int(two) << 16 | int(three) << 8 | int(four)
