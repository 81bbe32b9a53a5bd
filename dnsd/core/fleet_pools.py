"""A fleet's pools: who is in each, what each answers from, and the overlay nodes that follow.

It owns memberships and what was compiled of them last. It knows no drain, no report and no time: members come in as
they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dnsd.core.compile import pool_node
from dnsd.core.fleet_change import OverlayChange
from dnsd.core.foresight import first_changes
from dnsd.core.names import from_text
from dnsd.core.naming import Naming
from dnsd.core.records import Overlay, Zone
from dnsd.core.selection import MEMBER_STATES, Member, Selection, Tier, floor_margin, select
from dnsd.model.pool import PoolSpec


class FleetPools:
    """The pools of a fleet.

    Args:
        zones: by folded apex.
        overlay: the fleet's, as it is when pools are compiled; it is only read here.

    Attributes:
        specs: by owner.
        naming: whom their answers name.
        compiled: how often one was compiled.
    """

    def __init__(self, specs: Iterable[PoolSpec], zones: Mapping[bytes, Zone], overlay: Overlay) -> None:
        self.specs: dict[str, PoolSpec] = {pool.owner: pool for pool in specs}
        self.naming = Naming()
        self.compiled = 0
        self._zones = zones
        self._overlay = overlay
        self._members: dict[str, dict[str, Member]] = {owner: {} for owner in self.specs}
        self._tiers: dict[str, Tier] = {}
        self._counts: dict[str, dict[str, int]] = {}  # of members by state, as far as somebody asked
        self._margins: dict[str, int] = {}  # over the pools' floors, as far as somebody asked
        self._falling_back_to: dict[str, list[str]] = {}
        for pool in self.specs.values():
            if pool.fallback is not None:
                self._falling_back_to.setdefault(pool.fallback, []).append(pool.owner)

    # --- reading ------------------------------------------------------------------------------------------------

    def members_of(self, owner: str) -> tuple[Member, ...]:
        """Return every member of a pool, in the order of their ids."""
        members = self._members[owner]
        return tuple(members[node] for node in sorted(members))

    def states_of(self, owner: str) -> Mapping[str, int]:
        """Return how many members of a pool are in each of `MEMBER_STATES`; counted where the pool was touched."""
        counts = self._counts.get(owner)
        if counts is None:
            counts = self._counts[owner] = dict.fromkeys(MEMBER_STATES, 0)
            for member in self._members[owner].values():
                counts[member.state] += 1
        return counts

    def margin_of(self, owner: str) -> int:
        """Return how many more nodes a pool can lose, as `floor_margin` has it; worked out where it was touched."""
        margin = self._margins.get(owner)
        if margin is None:
            margin = self._margins[owner] = floor_margin(self.specs[owner], self._members[owner].values())
        return margin

    def tier_of(self, owner: str) -> Tier:
        """Return where a pool's answers come from, as it was compiled last."""
        return self._tiers[owner]

    def selection_of(self, owner: str) -> Selection:
        """Return what a pool answers from."""
        return select(self.specs[owner], self.members_of(owner), fallback=self.selection_of)

    def with_dependents(self, owners: set[str]) -> set[str]:
        """Add the pools that fall back to these, and those that fall back to them."""
        found = set(owners)
        waiting = list(owners)
        while waiting:
            for owner in self._falling_back_to.get(waiting.pop(), ()):
                if owner not in found:
                    found.add(owner)
                    waiting.append(owner)
        return found

    # --- stepping -----------------------------------------------------------------------------------------------

    def member(self, owner: str, node: str) -> Member | None:
        """Return a pool's member; None: the node is none."""
        return self._members[owner].get(node)

    def put(self, owner: str, node: str, member: Member) -> None:
        """Take a node as a pool's member, as it is from now on; the pool is compiled later."""
        self._members[owner][node] = member

    def drop(self, owner: str, node: str) -> None:
        """Let go of a pool's member; the pool is compiled later."""
        del self._members[owner][node]

    def compile(self, owners: set[str], change: OverlayChange) -> None:
        """Compile pools, and note what of the overlay becomes another thing, and who is named no more."""
        for owner in sorted(owners):
            selection = self.selection_of(owner)
            self._tiers[owner] = selection.tier
            self._counts.pop(owner, None)
            self._margins.pop(owner, None)
            spec = self.specs[owner]
            change.withdrawn += self.naming.note(spec, selection, self._members[selection.source.owner].values())
            name = from_text(owner)
            self.compiled += 1
            changes_at = first_changes(spec, self.specs, lambda each: self._members[each].values())
            # Each generation starts at another variant, so that frequent changes do not favour the first one.
            node = pool_node(spec, selection, self._zones, changes_at=changes_at, turn=self.compiled)
            change.pools.append(owner)
            if self._overlay.get(name) != node:
                change.put[name] = node
