"""What drains, ramps and reports should do, in as few words as possible: the reference that the service is held to.

Instants are seconds since the beginning. It shares nothing with the service but the words of the interface: it looks
at every instant where the service chooses some, and keeps no order, no index and no state between questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

NODES = ("a", "b", "c")
AGENTS = ("b", "c")  # the nodes whose agents report
ROLES = ("edge", "ingest")
FLOOR = 1
STALE_AFTER_SECONDS = 30
STRENGTH = ("normal", "draining", "maintenance")


class Key(NamedTuple):
    """Where a drain is kept."""

    node: str
    role: str
    holder: str


@dataclass(frozen=True)
class Entry:
    """A drain, or a ramp in mode normal."""

    mode: str
    reason: str
    starts: float
    expires: float | None
    forced: bool = False

    @property
    def ramp(self) -> bool:
        return self.mode == "normal"

    def active(self, now: float) -> bool:
        return self.starts <= now and (self.expires is None or now < self.expires)


Entries = Mapping[Key, Entry]


class Told(NamedTuple):
    """An entry of the history."""

    action: str
    node: str
    roles: tuple[str, ...]
    holder: str
    actor: str
    forced: bool


@dataclass
class Heard:
    """The last report of a node: when it came, and from when it counts; a clock that is set back moves that alone."""

    received: float
    at: float
    up: dict[str, bool]
    viewers: int


@dataclass
class Reference:
    """The fleet as it should be, and the history in steps; the order within a step means nothing."""

    now: float = 0.0
    entries: dict[Key, Entry] = field(default_factory=dict)
    heard: dict[str, Heard] = field(default_factory=dict)
    told: list[list[Told]] = field(default_factory=list)

    # --- what happens -------------------------------------------------------------------------------------------

    def wanted(self, key: Key, wanted: Entry) -> Entry | None:
        """Return what an order makes of a key; None: it is there already."""
        there = self.entries.get(key)
        if there is None or there.ramp:
            return replace(wanted, forced=self.breaks(key, wanted))
        if wanted.starts <= self.now and there.starts <= self.now:
            wanted = replace(wanted, starts=there.starts)
        same = (there.mode, there.reason, there.starts) == (wanted.mode, wanted.reason, wanted.starts)
        if same and self._ends_alike(there, wanted):
            return None
        return replace(wanted, forced=there.forced or self.breaks(key, wanted))

    def _ends_alike(self, there: Entry, wanted: Entry) -> bool:
        if there.expires is None or wanted.expires is None:
            return there.expires == wanted.expires
        lasts = wanted.expires - max(self.now, wanted.starts)
        return abs(there.expires - wanted.expires) < min(5.0, lasts / 10)

    def place(self, key: Key, entry: Entry) -> None:
        there = self.entries.get(key)
        action = "drain-placed" if there is None or there.ramp else "drain-changed"
        self.entries[key] = entry
        self.told.append([Told(action, key.node, (key.role,), key.holder, "alice", entry.forced)])

    def release(self, keys: Iterable[Key], ramp: float | None) -> bool:
        """End what is under the keys, but for ramps that run where a ramp is asked for; say whether there was any."""
        ended = [key for key in keys if ramp is None or not (self.entries[key].ramp and self.active(key))]
        ramps = {
            key: Entry("normal", self.entries[key].reason, self.now, self.now + ramp)
            for key in ended
            if ramp is not None and self.active(key)
        }
        self._end(ended, "drain-released", "alice")
        self.entries.update(ramps)
        return bool(ended)

    def _end(self, keys: Iterable[Key], action: str, actor: str) -> None:
        groups: dict[tuple[str, str, str], list[str]] = {}
        for key in keys:
            what = "ramp-ended" if self.entries.pop(key).ramp else action
            groups.setdefault((what, key.node, key.holder), []).append(key.role)
        if groups:
            self.told.append(
                [
                    Told(what, node, tuple(sorted(roles)), holder, actor, forced=False)
                    for (what, node, holder), roles in groups.items()
                ]
            )

    def hear(self, name: str, up: dict[str, bool], viewers: int) -> None:
        self.heard[name] = Heard(self.now, self.now, up, viewers)

    def restart(self) -> None:
        """Forget what only the process knew: reports count from when they came."""
        for heard in self.heard.values():
            heard.at = min(heard.received, self.now)

    def pass_time(self, seconds: float) -> None:
        """Move the clock; one that goes back has reports count from where it then stands."""
        self.now += seconds
        for heard in self.heard.values():
            heard.at = min(heard.at, self.now)
        over = [key for key, each in self.entries.items() if each.expires is not None and each.expires <= self.now]
        self._end(over, "drain-expired", "dnsd")

    # --- what is ------------------------------------------------------------------------------------------------

    def active(self, key: Key) -> bool:
        return self.entries[key].active(self.now)

    def fresh(self, name: str) -> bool:
        return name in self.heard and self.now < self.heard[name].at + STALE_AFTER_SECONDS

    def healthy(self, name: str, role: str) -> bool:
        return name not in AGENTS or (self.fresh(name) and self.heard[name].up[role])

    def mode(self, name: str, role: str) -> str:
        return _mode(self.entries, name, role, self.now)

    def share(self, name: str, role: str) -> float:
        shares = [
            (1 + (self.now - each.starts) * 9 // (each.expires - each.starts)) / 10
            for key, each in self.entries.items()
            if key.node == name and key.role in (role, "*") and each.ramp and each.active(self.now) and each.expires
        ]
        return min(shares, default=1.0)

    def answers(self, role: str) -> list[str]:
        return self._answers(self.entries, role, self.now)

    def _answers(self, entries: Entries, role: str, instant: float) -> list[str]:
        undrained = [name for name in NODES if _mode(entries, name, role, instant) == "normal"]
        return [name for name in undrained if self.healthy(name, role)] or undrained

    def breaks(self, key: Key, wanted: Entry) -> bool:
        """Say whether an order takes a pool below its floor at any instant from now on, with the health of now."""
        after = {**self.entries, key: wanted}
        instants = {self.now}
        for each in (*self.entries.values(), wanted):
            instants |= {instant for instant in (each.starts, each.expires) if instant is not None}
        return any(self._below(role, after, instant) for role in ROLES for instant in instants if instant >= self.now)

    def _below(self, role: str, after: Entries, instant: float) -> bool:
        was, becomes = (self._answers(entries, role, instant) for entries in (self.entries, after))
        served, serve = (sum(self.healthy(name, role) for name in names) for names in (was, becomes))
        return bool(was and not becomes) or serve < min(served, FLOOR)


def _mode(entries: Entries, name: str, role: str, instant: float) -> str:
    modes = [
        each.mode
        for key, each in entries.items()
        if key.node == name and key.role in (role, "*") and each.active(instant)
    ]
    return max(modes, key=STRENGTH.index, default="normal")
