"""What makes gathered records a zone: errors that keep it from being served.

What serves but is odd is for `dnsd.zonefile.lint`.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from dnsd.core import constants, names
from dnsd.zonefile.gathering import Gathering

# What may stand beside a CNAME: its signature, and the proofs and keys of DNSSEC (RFC 4034 §3 and §4, RFC 4035 §2.5).
_BESIDE_CNAME = frozenset({constants.CNAME, constants.RRSIG, 47, 25})

_NONE: frozenset[int] = frozenset()

TypesByOwner = Mapping[bytes, frozenset[int]]


def types_by_owner(gathering: Gathering) -> TypesByOwner:
    """Return which types stand at each name."""
    # Most names of a large zone hold the same few sets of types: those are kept once, and found by what is added.
    found: dict[bytes, frozenset[int]] = {}
    kept: dict[frozenset[int], frozenset[int]] = {}
    larger: dict[tuple[frozenset[int], int], frozenset[int]] = {}
    for owner, rdtype in gathering.records:
        step = (found.get(owner, _NONE), rdtype)
        there = larger.get(step)
        if there is None:
            there = step[0] | {rdtype}
            there = larger[step] = kept.setdefault(there, there)
        found[owner] = there
    return found


class Closest:
    """Finds the closest of some names at or above others; it knows what it has found for a parent already.

    Args:
        owners: folded names.
    """

    __slots__ = ("_known", "_owners")

    def __init__(self, owners: Set[bytes]) -> None:
        self._owners = owners
        self._known: dict[bytes, bytes | None] = {}

    def at_or_above(self, name: bytes) -> bytes | None:
        """Return the name itself or its closest ancestor of those; None: there is none."""
        return name if name in self._owners else self.above(name)

    def above(self, name: bytes) -> bytes | None:
        """Return the closest ancestor of those; None: there is none."""
        if name == names.ROOT or not self._owners:
            return None
        parent = names.parent(name)
        if parent not in self._known:
            self._known[parent] = self.at_or_above(parent)
        return self._known[parent]


def check_zone(gathering: Gathering, types: TypesByOwner, *, file: str) -> None:
    """Add a problem to the gathering for each reason why its records are not a zone.

    Where not everything could be read, each reason still holds: it rests on records that were read, and nothing is
    called missing that may be among the others.

    Args:
        file: the zone's master file, for what is missing and so stands in no line.
    """
    _check_apex(gathering, file)
    for owner, there in types.items():
        if constants.CNAME in there and not there <= _BESIDE_CNAME:
            _report(gathering, owner, constants.CNAME, "cname-and-other", "a CNAME stands beside other records")
        if constants.DNAME in there and constants.NS in there and owner != gathering.apex:
            # RFC 6672 §2.3: below the apex, NS makes the name a delegation, and its data another zone's.
            _report(gathering, owner, constants.DNAME, "dname-and-ns", "a DNAME stands beside a delegation")
    _check_below_dnames(gathering, types)


def _check_apex(gathering: Gathering, file: str) -> None:
    apex = names.to_text(gathering.apex)
    if gathering.lacks(gathering.apex, constants.SOA):
        gathering.problem(file, 0, place=apex, problem_id="no-soa", message="the zone has no SOA record at its apex")
    if gathering.lacks(gathering.apex, constants.NS):
        gathering.problem(file, 0, place=apex, problem_id="no-ns", message="the zone has no NS record at its apex")


def _check_below_dnames(gathering: Gathering, types: TypesByOwner) -> None:
    dnames = {owner for owner, there in types.items() if constants.DNAME in there}
    if not dnames:
        return
    closest = Closest(dnames)
    for owner, there in types.items():
        above = closest.above(owner)
        if above is not None:
            # RFC 6672 §2.4: "Resource records MUST NOT exist at any subdomain of the owner of a DNAME RR".
            message = f"nothing may stand below {names.to_text(above)}, which has a DNAME record"
            _report(gathering, owner, min(there), "below-dname", message)


def _report(gathering: Gathering, owner: bytes, rdtype: int, problem_id: str, message: str) -> None:
    there = gathering.records[owner, rdtype]
    gathering.problem(there.file, there.line, place=names.to_text(owner), problem_id=problem_id, message=message)
