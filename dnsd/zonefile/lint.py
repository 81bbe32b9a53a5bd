"""What is odd in a zone but serves: names that lead nowhere, data that nobody will see."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

from dnsd.core import constants, names
from dnsd.zonefile.checks import TypesByOwner
from dnsd.zonefile.gathering import Gathered, Gathering

# Where the target's name begins in the RDATA of the types whose target needs addresses (RFC 2181 §10.3, RFC 2782).
_TARGET_OFFSET = {constants.NS: 0, constants.MX: 2, constants.SRV: 6}
_KIND = {constants.NS: "NS", constants.MX: "MX", constants.SRV: "SRV"}
_ADDRESSES = frozenset({constants.A, constants.AAAA})

_WILDCARD_LABEL = b"\x01*"


@dataclass(frozen=True, slots=True)
class _Zone:
    """A gathered zone with what the questions below need.

    Args:
        cuts: owners of delegations.
        others: names that something other than the master file gives addresses.
    """

    gathering: Gathering
    types: TypesByOwner
    cuts: frozenset[bytes]
    others: Container[bytes]

    def cut_above(self, name: bytes) -> bytes | None:
        """Return the delegation at or above a name of the zone."""
        if not self.cuts:
            return None
        return next((above for above in (name, *names.ancestors(name)) if above in self.cuts), None)

    def types_at(self, name: bytes) -> frozenset[int]:
        """Return the types that a question for the name meets, a wildcard's included (RFC 4592 §3.3.1)."""
        there = self.types.get(name)
        for above in names.ancestors(name):
            if there is not None or not names.is_at_or_below(above, self.gathering.apex):
                break
            there = self.types.get(_WILDCARD_LABEL + above)
        return there or frozenset()


def warn_of_oddities(gathering: Gathering, types: TypesByOwner, *, others: Container[bytes]) -> None:
    """Add a warning to the gathering for each thing that is odd.

    Args:
        others: folded names that get addresses from elsewhere, such as pools.
    """
    apex = gathering.apex
    cuts = frozenset(owner for owner, there in types.items() if constants.NS in there and owner != apex)
    zone = _Zone(gathering, types, cuts, others)
    for (owner, rdtype), gathered in gathering.records.items():
        if rdtype in _TARGET_OFFSET:
            _check_targets(zone, owner, rdtype, gathered)
        if owner.startswith(_WILDCARD_LABEL) and rdtype in (constants.NS, constants.DNAME):
            # RFC 4592 §4.2 and §4.4: what these mean at a wildcard is left undefined.
            kind = "NS" if rdtype == constants.NS else "DNAME"
            message = f"a {kind} record at a wildcard is not expanded"
            _warn(gathering, owner, gathered, f"wildcard-{kind.lower()}", message)
    if cuts:
        _check_occluded(zone)


def _check_targets(zone: _Zone, owner: bytes, rdtype: int, gathered: Gathered) -> None:
    for target in _targets(rdtype, gathered):
        if target == names.ROOT or not names.is_at_or_below(target, zone.gathering.apex) or target in zone.others:
            continue
        there = zone.types_at(target)
        text = names.to_text(target)
        cut = zone.cut_above(target)
        if cut is not None:
            if rdtype == constants.NS and cut == owner and not there & _ADDRESSES:
                message = f"{text} is within the delegation and has no address (glue) here"
                _warn(zone.gathering, owner, gathered, "missing-glue", message)
        elif constants.CNAME in there:
            # RFC 2181 §10.3: "The domain name used as the value of a NS resource record, or part of the value of a
            # MX resource record must not be an alias."
            message = f"the {_KIND[rdtype]} target {text} is a CNAME"
            _warn(zone.gathering, owner, gathered, "target-is-cname", message)
        elif not there & _ADDRESSES:
            message = f"the {_KIND[rdtype]} target {text} has no address"
            _warn(zone.gathering, owner, gathered, "target-without-address", message)


def _targets(rdtype: int, gathered: Gathered) -> Iterator[bytes]:
    offset = _TARGET_OFFSET[rdtype]
    for canonical in gathered.rdatas:
        yield canonical[offset:]


def _check_occluded(zone: _Zone) -> None:
    for (owner, rdtype), gathered in zone.gathering.records.items():
        cut = zone.cut_above(owner)
        if cut is None or (owner == cut and rdtype in (constants.NS, constants.DS)) or rdtype in _ADDRESSES:
            continue
        message = f"the record is hidden by the delegation of {names.to_text(cut)}"
        _warn(zone.gathering, owner, gathered, "occluded", message)


def _warn(gathering: Gathering, owner: bytes, gathered: Gathered, problem_id: str, message: str) -> None:
    gathering.warning(gathered.file, gathered.line, place=names.to_text(owner), problem_id=problem_id, message=message)
