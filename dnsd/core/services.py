"""Records that say where and how the nodes of a pool are reached: SRV (RFC 2782), SVCB and HTTPS (RFC 9460).

It makes their RDATA and lays them out for answers. Which nodes are answered is decided before.
"""

from __future__ import annotations

import copy
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dnsd.core.constants import HTTPS, MAX_MESSAGE_SIZE, SRV, SVCB
from dnsd.core.names import ROOT, from_text
from dnsd.core.packed import FAMILIES, packed
from dnsd.core.records import ADDRESS_TYPES, Answerable, Rotation, RRset
from dnsd.core.sampled import Sampled
from dnsd.core.sampling import Weighted
from dnsd.core.selection import Member, Selection
from dnsd.core.spread import Composed, one_after_the_other, spread
from dnsd.model.drain import RAMP_STEPS
from dnsd.model.pool import PoolSpec, PoolType, Service

# The types that each kind of pool is answered with.
TYPES = {
    PoolType.ADDRESS: ADDRESS_TYPES,
    PoolType.SRV: frozenset({SRV}),
    PoolType.SVCB: frozenset({SVCB}),
    PoolType.HTTPS: frozenset({HTTPS}),
}

MAX_SRV_WEIGHT = 65_535  # RFC 2782: two bytes

# What the records of a pool may take of a response over TCP; the rest is for the question, an alias or two on the way,
# the OPT and the like. Unit: bytes.
MAX_ANSWER_SIZE = MAX_MESSAGE_SIZE - 2048

_RECORD_SIZE = 12  # of a record without its RDATA, its owner compressed (RFC 1035 §4.1.3, §4.1.4)

# RFC 9460 §14.3.2. In RDATA the keys rise (§2.2), so that hints, whose keys are the highest here, come last.
_ALPN, _NO_DEFAULT_ALPN, _PORT = 1, 2, 3
_HINT_KEYS = {4: 4, 16: 6}  # ipv4hint and ipv6hint, by the bytes of an address

_SRV = struct.Struct("!HHH")  # priority, weight, port
_PARAMETER = struct.Struct("!HH")  # key, length of the value


def types_of(spec: PoolSpec) -> frozenset[int]:
    """Return the types that a pool is answered with."""
    return TYPES[spec.type] | {HTTPS} if spec.https is not None else TYPES[spec.type]


# --- RDATA --------------------------------------------------------------------------------------------------------


def srv_rdata(*, priority: int, weight: int, port: int, target: bytes) -> bytes:
    """Return the RDATA of an SRV record; the target is not compressed (RFC 2782, "Target")."""
    return _SRV.pack(priority, weight, port) + target


def service_rdata(service: Service, *, priority: int, target: bytes, port: int | None) -> bytes:
    """Return the RDATA of an SVCB or HTTPS record in ServiceMode, without hints (RFC 9460 §2.2).

    Args:
        priority: 1 or more.
        target: folded; the root stands for the owner of the record (§2.5.2).
        port: None: that of the protocol.
    """
    rdata = priority.to_bytes(2, "big") + target
    if service.alpn:
        ids = (protocol.encode("ascii") for protocol in service.alpn)
        rdata += _parameter(_ALPN, b"".join(bytes([len(each)]) + each for each in ids))
    if not service.default_alpn:
        rdata += _parameter(_NO_DEFAULT_ALPN, b"")
    if port is not None:
        rdata += _parameter(_PORT, port.to_bytes(2, "big"))
    return rdata


def hints(addresses: Sequence[bytes]) -> bytes:
    """Return the parameters that hint at addresses (RFC 9460 §7.3), to be put behind the others.

    Args:
        addresses: packed, of any family; §7.3: "An empty list of addresses is invalid", so that a family without one
            has no hint.
    """
    families = ((key, b"".join(each for each in addresses if len(each) == size)) for size, key in _HINT_KEYS.items())
    return b"".join(_parameter(key, value) for key, value in families if value)


def _parameter(key: int, value: bytes) -> bytes:
    return _PARAMETER.pack(key, len(value)) + value


# --- pools that point to their nodes ------------------------------------------------------------------------------


def service_records(spec: PoolSpec, selection: Selection, *, turn: int) -> Answerable | None:
    """Return the records of a pool that point to its nodes, or None where no node is selected.

    All that they say is by the pool that the nodes are members of, where another stands in; the TTL and how many fit
    in an answer are the pool's own. Those of the lowest priority come first, and others as far as there is room.

    Args:
        turn: which order or sample the first answer gets.
    """
    groups: dict[int, list[Weighted]] = {}
    for priority, record in _records(selection):
        groups.setdefault(priority, []).append(record)
    (rdtype,) = TYPES[spec.type]
    room = min(spec.max_answers, _most_that_fit(record for records in groups.values() for record in records))
    parts: list[Answerable] = []
    for _, records in sorted(groups.items()):
        size = min(room, len(records))
        if size:
            parts.append(spread(rdtype, spec.ttl, records, max_answers=size, turn=turn))
        room -= size
    if len(parts) < 2:
        return parts[0] if parts else None
    return Composed(rdtype, spec.ttl, tuple(parts), one_after_the_other)


def _most_that_fit(records: Iterable[Weighted]) -> int:
    """Return how many records of the largest size any response has room for."""
    largest = max((len(record.address) for record in records), default=0)
    return MAX_ANSWER_SIZE // (_RECORD_SIZE + largest)


def _records(selection: Selection) -> Iterable[tuple[int, Weighted]]:
    """Yield the priority and the record of each node."""
    source, members = selection.source, selection.members
    for member, weight in zip(members, srv_weights(members), strict=True):
        node = member.node
        owner = None if source.targets is None else source.targets.owner_of(node)
        if owner is None:
            raise AssertionError("a node without a name is in no pool that points to names")
        target, port = from_text(owner), source.port_of(node)
        priority = source.service.priority if node.priority is None else node.priority
        if source.type is PoolType.SRV:
            # Clients choose by the weight that they read, so that a sample must not choose by it once more.
            rdata = srv_rdata(priority=priority, weight=weight, port=port or 0, target=target)
            yield priority, Weighted(rdata, 1)
        else:
            addresses = [address for version, _ in FAMILIES for address in packed(node.addresses, version)]
            rdata = service_rdata(source.service, priority=priority, target=target, port=port) + hints(addresses)
            yield priority, Weighted(rdata, node.weight, member.share_cap)


def srv_weights(members: Sequence[Member]) -> list[int]:
    """Return the weights of nodes as SRV records have them, 1 to 65535: in proportion, with the ramps that run.

    As they are configured where that can be; while somebody comes back by a ramp, all are in finer units.
    """
    unit = RAMP_STEPS if any(member.share_cap < 1 for member in members) else 1
    weights = [round(member.node.weight * unit * member.share_cap) for member in members]
    largest = max(weights, default=0)
    if largest > MAX_SRV_WEIGHT:
        weights = [weight * MAX_SRV_WEIGHT // largest for weight in weights]
    # RFC 2782, "Weight": one of 0 has a very small chance beside others; these have a share.
    return [max(1, weight) for weight in weights]


# --- pools of addresses -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Hinting:
    """Makes one record with hints of the addresses that it is given.

    Args:
        rdata: of the record without hints.
    """

    rdata: bytes

    def __call__(self, families: Sequence[tuple[bytes, ...]]) -> tuple[bytes, ...]:
        return (self.rdata + hints(one_after_the_other(families)),)


def https_beside(ttl: int, service: Service, families: Sequence[Rotation | Sampled], *, turn: int) -> Answerable:
    """Return the HTTPS record that stands beside the addresses of a pool, and hints at them.

    It points to its own owner (RFC 9460 §2.5.2), whatever alias or wildcard led there.

    Args:
        families: the pool's RRsets of addresses, one or two; they are left as they are.
        turn: which addresses the first answer gets.
    """
    form = _Hinting(service_rdata(service, priority=1, target=ROOT, port=service.port))
    orders = [each.variants for each in families if isinstance(each, Rotation)]
    if len(orders) < len(families):
        # Copies take turns of their own: an answer of one type leaves those of the others as they are.
        return Composed(HTTPS, ttl, tuple(copy.copy(each) for each in families), form)
    count = max(map(len, orders))
    variants = (form([each[place % len(each)].rdatas for each in orders]) for place in range(count))
    return Rotation(tuple(RRset(HTTPS, ttl, rdatas) for rdatas in variants), turn=turn)
