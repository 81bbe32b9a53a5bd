"""What is odd in a zone but serves: names that lead nowhere, data that nobody will see."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

from dnsd.core import constants, names
from dnsd.zonefile.checks import Closest, TypesByOwner
from dnsd.zonefile.gathering import Gathered, Gathering

# Where the target's name begins in the RDATA of the types whose target needs addresses (RFC 2181 §10.3, RFC 2782).
_TARGET_OFFSET = {constants.NS: 0, constants.MX: 2, constants.SRV: 6}
_KIND = {constants.NS: "NS", constants.MX: "MX", constants.SRV: "SRV"}
_ADDRESSES = frozenset({constants.A, constants.AAAA})

# What a signed zone has at a delegation besides NS and DS, and answers itself (RFC 4035 §2.2 and §2.3).
_NSEC = 47
_OF_THE_PARENT = frozenset({constants.NS, constants.DS, constants.RRSIG, _NSEC})


# Bytes of a record before its RDATA, where its owner is a pointer: RFC 1035 §4.1.3 and §4.1.4.
_RECORD_HEAD = 12
_QUESTION_TAIL = 4  # type and class behind the name (RFC 1035 §4.1.2)
_OPT_SIZE = 11  # without options (RFC 6891 §6.1.2)

# A record of no more RDATA leaves room enough for any owner and header, and need not be measured. Unit: bytes.
_SURELY_FITS = 32_768

# How much of the RDATA cannot be compressed, for the types whose names a response may compress (RFC 3597 §4): what
# stands before the name, and a pointer.
_COMPRESSED_SIZE = {constants.NS: 2, constants.CNAME: 2, constants.PTR: 2, constants.MX: 4, constants.SOA: 24}


@dataclass(frozen=True, slots=True)
class _Zone:
    """A gathered zone with what the questions below need.

    Args:
        cuts: finds the delegation at or above a name.
        others: names that something other than the master file gives addresses.
    """

    gathering: Gathering
    types: TypesByOwner
    cuts: Closest
    others: Container[bytes]

    def types_at(self, name: bytes) -> frozenset[int]:
        """Return the types that a question for the name meets, a wildcard's included (RFC 4592 §3.3.1)."""
        there = self.types.get(name)
        for above in names.ancestors(name):
            if there is not None or not names.is_at_or_below(above, self.gathering.apex):
                break
            there = self.types.get(names.WILDCARD + above)
        return there or frozenset()


def warn_of_oddities(gathering: Gathering, types: TypesByOwner, *, others: Container[bytes]) -> None:
    """Add a warning to the gathering for each thing that is odd.

    Args:
        others: folded names that get addresses from elsewhere, such as pools.
    """
    apex = gathering.apex
    cuts = frozenset(owner for owner, there in types.items() if constants.NS in there and owner != apex)
    zone = _Zone(gathering, types, Closest(cuts), others)
    for (owner, rdtype), gathered in gathering.records.items():
        rdatas = gathered.rdatas
        if len(rdatas) > 1 or len(rdatas[0]) > _SURELY_FITS:
            _check_size(gathering, owner, rdtype, gathered)
        if rdtype in _TARGET_OFFSET:
            _check_targets(zone, owner, rdtype, gathered)
        if owner.startswith(names.WILDCARD) and rdtype in (constants.NS, constants.DNAME):
            # RFC 4592 §4.2 and §4.4: what these mean at a wildcard is left undefined.
            kind = "NS" if rdtype == constants.NS else "DNAME"
            effect = "delegates" if rdtype == constants.NS else "redirects"
            message = f"a {kind} record at a wildcard {effect} nothing: it is answered as data"
            _warn(gathering, owner, gathered, f"wildcard-{kind.lower()}", message)
    if cuts:
        _check_occluded(zone)


def _check_targets(zone: _Zone, owner: bytes, rdtype: int, gathered: Gathered) -> None:
    for target in _targets(rdtype, gathered):
        if target == names.ROOT or not names.is_at_or_below(target, zone.gathering.apex) or target in zone.others:
            continue
        there = zone.types_at(target)
        cut = zone.cuts.at_or_above(target)
        if cut is not None:
            if rdtype == constants.NS and cut == owner and not there & _ADDRESSES:
                message = f"{names.to_text(target)} is within the delegation and has no address (glue) here"
                _warn(zone.gathering, owner, gathered, "missing-glue", message)
        elif constants.CNAME in there:
            # RFC 2181 §10.3: "The domain name used as the value of a NS resource record, or part of the value of a
            # MX resource record must not be an alias."
            message = f"the {_KIND[rdtype]} target {names.to_text(target)} is a CNAME"
            _warn(zone.gathering, owner, gathered, "target-is-cname", message)
        elif not there & _ADDRESSES:
            message = f"the {_KIND[rdtype]} target {names.to_text(target)} has no address"
            _warn(zone.gathering, owner, gathered, "target-without-address", message)


def _targets(rdtype: int, gathered: Gathered) -> Iterator[bytes]:
    offset = _TARGET_OFFSET[rdtype]
    for canonical in gathered.canonicals:
        yield canonical[offset:]


def _check_size(gathering: Gathering, owner: bytes, rdtype: int, gathered: Gathered) -> None:
    room = constants.MAX_MESSAGE_SIZE - constants.HEADER_SIZE - len(owner) - _QUESTION_TAIL - _OPT_SIZE
    most = _COMPRESSED_SIZE.get(rdtype, constants.MAX_MESSAGE_SIZE)
    size = sum(_RECORD_HEAD + min(len(rdata), most) for rdata in gathered.rdatas)
    if size > room:
        message = f"its {len(gathered.rdatas)} records of this type need {size} bytes, and a response holds {room}"
        _warn(gathering, owner, gathered, "rrset-too-large", message)


def _check_occluded(zone: _Zone) -> None:
    for (owner, rdtype), gathered in zone.gathering.records.items():
        cut = zone.cuts.at_or_above(owner)
        if cut is None or (owner == cut and rdtype in _OF_THE_PARENT) or rdtype in _ADDRESSES:
            continue
        message = f"the record is hidden by the delegation of {names.to_text(cut)}"
        _warn(zone.gathering, owner, gathered, "occluded", message)


def _warn(gathering: Gathering, owner: bytes, gathered: Gathered, problem_id: str, message: str) -> None:
    gathering.warning(gathered.file, gathered.line, place=names.to_text(owner), problem_id=problem_id, message=message)
