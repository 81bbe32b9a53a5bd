"""The fleet as it stands at one revision and instant, kept up to date change by change.

It owns which nodes there are, what is in force for each in every pool, and the overlay that follows. A change
compiles the pools that it touches and nothing else; one that alters no answer compiles nothing. It knows no store,
no clock and no worker: records, reports and instants come in, overlay changes go out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from dnsd.core.agenda import Agenda
from dnsd.core.evidence import NOT_CHECKED, Evidence
from dnsd.core.fleet_change import OverlayChange
from dnsd.core.fleet_names import NodeNames
from dnsd.core.fleet_pools import FleetPools
from dnsd.core.foresight import modes_ahead
from dnsd.core.names import from_text, to_text
from dnsd.core.orders import Orders
from dnsd.core.pool_index import PoolIndex
from dnsd.core.records import Overlay, Zone
from dnsd.core.selection import Member, Selection, Tier
from dnsd.model.check import Checked
from dnsd.model.drain import Drain, DrainKey, Mode, effective_mode, ramp_of
from dnsd.model.freshness import NEVER, NO_HOLD, Hold
from dnsd.model.node import Node
from dnsd.model.pool import NodeRecordSpec, PoolSpec
from dnsd.model.report import DEFAULT_STALE_AFTER_SECONDS, Health, Report
from dnsd.model.state import Change, ChangeRecord, Entity, FleetState

# A clock that goes back by less is being slewed or read twice, and nothing is worth doing. Unit: seconds.
CLOCK_SLACK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSpec:
    """What the configuration says of a fleet's names.

    Args:
        zones: by folded apex.
        stale_after_seconds: the age at which a report says nothing any more.
    """

    zones: Mapping[bytes, Zone]
    pools: tuple[PoolSpec, ...] = ()
    node_records: tuple[NodeRecordSpec, ...] = ()
    stale_after_seconds: float = DEFAULT_STALE_AFTER_SECONDS


class Fleet:
    """A fleet's state and the overlay compiled from it.

    Args:
        configured: the configuration's own nodes by id; they win over registered ones of the same id.
        state: a store's consistent cut.
        now: instant.
        hold: whether and when freshness stood still.
        checked: what the server's own checks have found, by node and role.

    Attributes:
        opening: what the making of it has to tell: who stays out although its drain has ended.
    """

    def __init__(
        self,
        spec: FleetSpec,
        configured: Mapping[str, Node],
        state: FleetState,
        *,
        now: float,
        hold: Hold = NO_HOLD,
        checked: Mapping[str, Mapping[str, Checked]] | None = None,
    ) -> None:
        self.spec = spec
        self.revision = state.revision
        self.mark = state.mark
        self.overlay: Overlay = {}
        self.nodes: dict[str, Node] = {}
        self._configured = dict(configured)
        self._registered = dict(state.nodes)
        self._evidence = Evidence(
            state.reports, checked or {}, hold=hold, stale_after=spec.stale_after_seconds, now=now
        )
        self._orders = Orders(state.drains.values())
        self._pools = FleetPools(spec.pools, spec.zones, self.overlay)
        self._pools_of: dict[str, tuple[PoolSpec, ...]] = {}
        self._folded: dict[str, set[str]] = {}  # ids by what they are without regard to case
        self._index = PoolIndex(spec.pools)
        self._agenda = Agenda()
        self._halted: set[str] = set()  # nodes whose reports get stale when freshness goes on, and not before
        self._stepped_at = now
        self._names = NodeNames(spec.zones, spec.node_records, map(from_text, self.pools), self.overlay)

        change = OverlayChange()
        self._names.hold_pools(change)
        # The configured first: where two of them would have one name, theirs is the better claim.
        for node in {**self._configured, **self._registered, **self._configured}.values():
            self._set_node(node.id, node, now, change, set())
        self._pools.compile(set(self.pools), change)
        self._commit(change)
        self.opening = OverlayChange(kept_out=change.kept_out)

    # --- reading ------------------------------------------------------------------------------------------------

    def drains_of(self, node: str) -> tuple[Drain, ...]:
        """Return every drain of a node, scheduled and expired ones included; no ramp is among them."""
        return tuple(drain for drain in self.orders_of(node) if not drain.is_ramp)

    def orders_of(self, node: str) -> tuple[Drain, ...]:
        """Return every drain and ramp of a node."""
        return tuple(self._orders.of(node).values())

    def all_drains(self) -> tuple[Drain, ...]:
        """Return every drain, those of nodes that are not there included; no ramp is among them."""
        return tuple(drain for drain in self._orders.all().values() if not drain.is_ramp)

    def expired_drains(self, now: float) -> tuple[Drain, ...]:
        """Return the drains and ramps whose time is over and that are still kept, without a look at any other."""
        return self._orders.expired(now)

    @property
    def reports(self) -> Mapping[str, Report]:
        """The last report of each node."""
        return self._evidence.reports

    @property
    def hold(self) -> Hold:
        """Whether and when the freshness of reports stood still."""
        return self._evidence.hold

    @property
    def state(self) -> FleetState:
        """What a store holds at this revision."""
        return FleetState(
            revision=self.revision,
            nodes=dict(self._registered),
            drains=self._orders.all(),
            reports=dict(self.reports),
            mark=self.mark,
        )

    def mode_of(self, node: str, role: str, *, now: float) -> Mode:
        """Return the strongest mode in force for a node and role."""
        orders = self._orders.of(node)
        return effective_mode(orders.values(), role=role, now=now) if orders else Mode.NORMAL

    def health_of(self, node: Node, role: str, *, now: float) -> Health:
        """Return what is known of a node's health in a role, by its reports and by checks: the worse counts."""
        return self._evidence.health_of(node, role, now=now)

    def reported_health_of(self, node: Node, role: str, *, now: float) -> Health:
        """Return what reports alone say of it."""
        return self._evidence.reported_health_of(node, role, now=now)

    def checks_of(self, node: str) -> Mapping[str, Checked]:
        """Return what the server's own checks have found of a node, by role."""
        return self._evidence.checks_of(node)

    @property
    def checked_nodes(self) -> Mapping[str, Mapping[str, Checked]]:
        """What they have found of every node; for the fleet that follows this one."""
        return self._evidence.checked

    @property
    def pools(self) -> Mapping[str, PoolSpec]:
        """Every pool, by owner, in the order of the configuration."""
        return self._pools.specs

    def members_of(self, owner: str) -> tuple[Member, ...]:
        """Return every node that a pool matches, in the order of their ids."""
        return self._pools.members_of(owner)

    def states_of(self, owner: str) -> Mapping[str, int]:
        """Return how many members of a pool are in each of `MEMBER_STATES`; counted where the pool was touched."""
        return self._pools.states_of(owner)

    def margin_of(self, owner: str) -> int:
        """Return how many more nodes a pool can lose, as `floor_margin` has it; worked out where it was touched."""
        return self._pools.margin_of(owner)

    def pools_of(self, node: str) -> tuple[PoolSpec, ...]:
        """Return the pools that match a node."""
        return self._pools_of.get(node, ())

    def twin_of(self, key: str) -> str | None:
        """Return another node whose id differs from this one only by case; None: there is none."""
        return next((other for other in self._folded.get(key.lower(), ()) if other != key), None)

    def node_named(self, owner: str) -> str | None:
        """Return the node that has a per-node name; None: none has.

        Args:
            owner: folded text, with its final dot.
        """
        return self._names.node_named(owner)

    def names_of(self, node: str) -> tuple[str, ...]:
        """Return a node's per-node names."""
        return tuple(to_text(name) for name in self._names.of(node))

    def why_not_register(self, node: Node) -> str | None:
        """Say why a node cannot have its per-node names, or None where it can."""
        return self._names.why_not(node)

    def why_unnamed(self, pool: PoolSpec, node: Node) -> str | None:
        """Say why a pool's records cannot point to a node that is there, or None where they can."""
        owner = None if pool.targets is None else pool.targets.owner_of(node)
        if owner is None or self._names.holds(node.id, owner):
            return pool.why_unnamed(node)
        # They would lead to nobody, or to another node.
        return f"it cannot have the name that they would point to: {self.clashes.get(owner, owner)}"

    @property
    def clashes(self) -> Mapping[str, str]:
        """Each per-node name that cannot be served, with the reason."""
        return self._names.clashes

    def tier_of(self, owner: str) -> Tier:
        """Return where a pool's answers come from, as it was compiled last."""
        return self._pools.tier_of(owner)

    def selection_of(self, owner: str) -> Selection:
        """Return what a pool answers from."""
        return self._pools.selection_of(owner)

    def named(self, owner: str) -> frozenset[tuple[str, str]]:
        """Return the (node, role) pairs that a pool's answers name; empty for a pool that does not exist."""
        return self._pools.naming.named(owner)

    def named_by(self, node: str, role: str) -> tuple[str, ...]:
        """Return the owners of the pools whose answers name a node in a role, or share its address there."""
        return self._pools.naming.named_by(node, role)

    def pools_that_may_name(self, node: str, role: str) -> tuple[PoolSpec, ...]:
        """Return the pools that could ever answer with a node in a role, fallbacks included."""
        matching = {pool.owner for pool in self.pools_of(node) if pool.role == role}
        return tuple(self.pools[owner] for owner in self._pools.with_dependents(matching))

    @property
    def stepped_at(self) -> float:
        """The instant of its last change or look at the time; a clock that was set back a little is before it."""
        return self._stepped_at

    @property
    def next_transition(self) -> float | None:
        """The instant of the next change by time alone: a drain starts or ends, a ramp rises, a report gets stale."""
        return self._agenda.next

    # --- stepping -----------------------------------------------------------------------------------------------

    def apply(self, records: Iterable[ChangeRecord], *, now: float) -> OverlayChange:
        """Take accepted changes, in order; those that are already in are passed over."""
        change = OverlayChange()
        dirty: set[str] = set()
        now = self._step_to(now)
        for record in records:
            if record.revision <= self.revision:
                continue
            if record.revision != self.revision + 1:
                raise ValueError(f"revision {record.revision} does not follow {self.revision}")
            self.revision, self.mark = record.revision, record.mark
            change.touched.add(record.change.node)
            if record.change.entity is Entity.DRAIN:
                self._take_drain(record.change)
                self._refresh(record.change.node, now, change, dirty)
            else:
                self._take_node(record.change)
                key = record.change.key
                self._set_node(key, self._configured.get(key, self._registered.get(key)), now, change, dirty)
        return self._finish(dirty, change)

    def _step_to(self, now: float) -> float:
        """Return the instant of a step: a clock that was set back a little ends nothing that has begun."""
        if self._stepped_at - CLOCK_SLACK_SECONDS <= now < self._stepped_at:
            return self._stepped_at
        self._stepped_at = max(self._stepped_at, now)
        return now

    def _take_drain(self, change: Change) -> None:
        if isinstance(change.value, Drain):
            self._orders.keep(change.value)
        else:
            self._orders.drop(DrainKey.of(change.key))

    def _take_node(self, change: Change) -> None:
        if isinstance(change.value, Node):
            self._registered[change.key] = change.value
        else:
            self._registered.pop(change.key, None)
            self._evidence.reports.pop(change.key, None)

    def report(self, report: Report, *, now: float) -> OverlayChange:
        """Take a node's report; the caller has checked its sequence."""
        change = OverlayChange()
        now = self._step_to(now)
        says_else = self._evidence.report(report, now=now)
        if says_else:
            change.touched.add(report.node)
        # On a clock that was set back, what was stale as the node was looked at may be fresh again, like this one.
        if says_else or now < self._stepped_at:
            dirty: set[str] = set()
            self._refresh(report.node, now, change, dirty)
            return self._finish(dirty, change)
        # What nearly all reports are: nothing is another than before, but for when this one gets stale.
        node = self.nodes.get(report.node)
        if node is not None and (stale_at := self._evidence.stale_at(node)) is not None and stale_at > now:
            self._note_transition(node, stale_at)
        return change

    def checked(self, results: Mapping[str, Mapping[str, Checked]], *, now: float) -> OverlayChange:
        """Take what checks have found of nodes, all of their roles each; an empty one: it is not checked any more."""
        change = OverlayChange()
        dirty: set[str] = set()
        now = self._step_to(now)
        for key, found in results.items():
            before = self._evidence.check(key, found if key in self.nodes else NOT_CHECKED)
            if key not in self.nodes:
                continue
            if found != before:
                change.touched.add(key)
            if {role: each.health for role, each in found.items()} != {r: each.health for r, each in before.items()}:
                self._refresh(key, now, change, dirty)
        return self._finish(dirty, change)

    def tick(self, *, now: float) -> OverlayChange:
        """Take what the time alone has changed up to `now`; it may also have been set back."""
        change = OverlayChange()
        dirty: set[str] = set()
        self._heed_set_back(now, change, dirty)
        self._take_due(self._step_to(now), change, dirty)
        return self._finish(dirty, change)

    def _take_due(self, now: float, change: OverlayChange, dirty: set[str]) -> None:
        for due, node in self._agenda.due(now):
            change.started += [each for each in self.drains_of(node) if due <= each.starts_at and each.active(now)]
            if any(due <= instant <= now for instant in self._instants_of(node)):
                change.touched.add(node)
            self._refresh(node, now, change, dirty)

    def hold_freshness(self, *, now: float, held: bool) -> OverlayChange:
        """Let the freshness of reports stand still, or go on; nothing happens where it does already."""
        change = OverlayChange()
        dirty: set[str] = set()
        if held == self._evidence.is_held:
            return change
        self._heed_set_back(now, change, dirty)  # else a hold could find fresh who was stale already
        now = self._step_to(now)
        self._evidence.hold_freshness(now=now, held=held)
        # Whoever is fresh stays so for now, and whoever is stale too: only what was due already changes, and when.
        self._take_due(now, change, dirty)
        if not held:
            halted, self._halted = self._halted, set()
            for key in halted & self.nodes.keys():
                self._note_next_transition(self.nodes[key], now)
        return self._finish(dirty, change)

    def _heed_set_back(self, now: float, change: OverlayChange, dirty: set[str]) -> None:
        """Bring every node to the clock where it was set back."""
        if now >= self._stepped_at - CLOCK_SLACK_SECONDS:
            return
        self._stepped_at = now
        self._agenda.clear()
        self._evidence.set_back(now)
        change.touched.update(self.nodes)
        for key in self.nodes:
            self._refresh(key, now, change, dirty)

    def _finish(self, dirty: set[str], change: OverlayChange) -> OverlayChange:
        self._pools.compile(self._pools.with_dependents(dirty), change)
        self._commit(change)
        return change

    def _commit(self, change: OverlayChange) -> None:
        # A name that one node lost and another got in the same step stays.
        change.removed -= change.put.keys()
        for name in change.removed:
            self.overlay.pop(name, None)
        self.overlay.update(change.put)

    # --- nodes --------------------------------------------------------------------------------------------------

    def _set_node(self, key: str, node: Node | None, now: float, change: OverlayChange, dirty: set[str]) -> None:
        for pool in self._pools_of.pop(key, ()):
            self._pools.drop(pool.owner, key)
            dirty.add(pool.owner)
        self._names.release(key, change)
        if node is None:
            self.nodes.pop(key, None)
            self._evidence.checked.pop(key, None)
            self._folded.get(key.lower(), set()).discard(key)
            return
        self.nodes[key] = node
        self._folded.setdefault(key.lower(), set()).add(key)
        self._names.give(node, change)
        self._pools_of[key] = tuple(
            pool for pool in self._index.candidates(node) if pool.selects(node) and self.why_unnamed(pool, node) is None
        )
        self._refresh(key, now, change, dirty)

    def _refresh(self, key: str, now: float, change: OverlayChange, dirty: set[str]) -> None:
        """Bring a node's memberships up to date and note when time will change them next."""
        node = self.nodes.get(key)
        if node is None:
            return
        orders = self._orders.of(key).values()
        pools = self._pools_of[key]
        in_role = {role: self._as_member(node, role, orders, now) for role in {pool.role for pool in pools}}
        for pool in pools:
            member = in_role[pool.role]
            was = self._pools.member(pool.owner, key)
            if was != member:
                self._pools.put(pool.owner, key, member)
                dirty.add(pool.owner)
                if was is not None and was.health is not member.health:
                    change.health.setdefault((key, pool.role), was.health)
                returns = member.mode is Mode.NORMAL and self._was_drained(was, orders, pool.role, now)
                if returns and not member.health.serves:
                    change.kept_out[key, pool.role] = member.health
        self._note_next_transition(node, now)

    def _as_member(self, node: Node, role: str, orders: Collection[Drain], now: float) -> Member:
        """Return what a node is in every pool of a role."""
        if not orders:
            return Member(node, Mode.NORMAL, self._evidence.health_of(node, role, now=now))
        ramp = ramp_of(orders, role=role, now=now)
        return Member(
            node,
            effective_mode(orders, role=role, now=now),
            self._evidence.health_of(node, role, now=now),
            1.0 if ramp is None else ramp.share,
            modes_ahead(orders, role=role, now=now),
        )

    @staticmethod
    def _was_drained(was: Member | None, orders: Iterable[Drain], role: str, now: float) -> bool:
        """Say whether a node was drained until now; for one that is new here, whether a drain ended unseen."""
        if was is not None:
            return was.mode is not Mode.NORMAL
        return any(order.covers(role) and order.expired(now) and not order.is_ramp for order in orders)

    def _instants_of(self, key: str) -> Iterator[float]:
        """Yield every instant, gone or to come, at which time alone changes something of a node."""
        for drain in self._orders.of(key).values():
            yield from drain.step_instants
            yield drain.starts_at
            if drain.expires_at is not None:
                yield drain.expires_at
        node = self.nodes.get(key)
        if node is not None and (stale_at := self._evidence.stale_at(node)) is not None:
            yield stale_at

    def _note_next_transition(self, node: Node, now: float) -> None:
        self._note_transition(node, min((each for each in self._instants_of(node.id) if each > now), default=NEVER))

    def _note_transition(self, node: Node, due: float) -> None:
        if self._evidence.is_held and self._evidence.stale_at(node) == NEVER:
            self._halted.add(node.id)
        if due != NEVER:
            self._agenda.note(node.id, due)
