"""What is known of the other consumers: how far each has come, for how long it has been silent, and who was lost.

It owns what is remembered from one look at the store to the next. It reads and writes no store.

there ──the store has it no more──► vanished ──10 s──► forgotten: it left in order
                                       └──the store had lost writes──► lost (applied 0) ──says that it lives──► there
                                                                          └──a day──► forgotten
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from dnsd.control.storehealth import StoreHealth
from dnsd.model.state import Consumer

# A consumer that was silent for longer is not waited for; it is listed as not live. Unit: seconds.
LIVE_SECONDS = 10.0

# A consumer that was silent for longer is taken as gone. Until then it may have lost its way to the store alone, and
# still serve what it knew last. Unit: seconds.
FORGOTTEN_SECONDS = 86_400.0

# One that is taken as gone is removed from the store, once this server itself has seen it say nothing for so long:
# whose clock is wrong is not known. Unit: seconds.
WATCHED_SECONDS = 3_600.0

# A server whose own heartbeats are further apart was held up, and heard nobody. With a router's own interval it is less
# than the silence after which one is not waited for. Unit: seconds.
DEAF_SECONDS = 5.0

ROUTER_KIND = "router"

# Steps of another server's applied revision whose time is remembered: half an hour's of heartbeats. Unit: steps.
STEPS_REMEMBERED = 1000


class Others:
    """The other consumers, as the store had them at the last look.

    Args:
        clock: gives the present instant.
        steady: gives seconds on a clock that nobody sets.

    Attributes:
        all: those that the store had, and those that it has lost.
        by_id: the same by their ids.
        known: the store was looked at, at least once.
    """

    def __init__(self, *, health: StoreHealth, clock: Callable[[], float], steady: Callable[[], float]) -> None:
        self.all: tuple[Consumer, ...] = ()
        self.by_id: dict[str, Consumer] = {}
        self.known = False
        self._health = health
        self._clock = clock
        self._steady = steady
        self._hears_since = float("-inf")  # on the steady clock, as are those that follow
        self._heard_until: float | None = None  # None: nobody has said that this server hears
        self._silent_since: dict[str, float] = {}
        self._same_since: dict[str, float] = {}
        self._vanished: dict[str, tuple[Consumer, float]] = {}  # lately, and when on the steady clock
        self._lost: dict[str, Consumer] = {}
        self._loss_noted = False
        self._applied: dict[str, deque[tuple[int, float]]] = {}

    def take(self, others: Sequence[Consumer]) -> None:
        """Take note of what the store has."""
        before = {each.id: each.seen_at for each in self.all}
        now = self._steady()
        for each in others:
            if before.get(each.id) != each.seen_at:
                self._same_since[each.id] = now
                # By our own clock: theirs may be set differently. Only at first sight theirs is all there is.
                age = 0.0 if each.id in before else max(0.0, self._clock() - each.seen_at)
                self._silent_since[each.id] = now - age
            steps = self._applied.setdefault(each.id, deque(maxlen=STEPS_REMEMBERED))
            if steps and steps[-1][0] > each.applied:
                steps.clear()  # it began anew
            if not steps or steps[-1][0] != each.applied:
                steps.append((each.applied, now))
        self._note_losses({each.id for each in others})
        self.all = (*others, *self._lost.values())
        self.by_id = {each.id: each for each in self.all}
        self.known = True
        self._forget_details()

    def store_diverged(self) -> None:
        """Take note that the store had lost writes, and with them perhaps that others are there.

        Who vanished with them counts as one that has applied nothing since: it is waited for while it would be live,
        and stands against stopping a node, until it says that it lives or would have been taken as gone.
        """
        self._loss_noted = True

    def left(self, key: str) -> None:
        """Take note that one has ended in order: it is not missed, also where the store loses writes or has."""
        self._vanished.pop(key, None)
        self._lost.pop(key, None)
        self.by_id.pop(key, None)
        self.all = tuple(self.by_id.values())

    def hears(self) -> None:
        """Take note, with each of this server's heartbeats, that those can be heard who speak to it alone.

        Routers over HTTP do: what they said while it was not there, or was held up, nobody has taken down.
        """
        now = self._steady()
        if self._heard_until is None or now - self._heard_until > DEAF_SECONDS:
            self._hears_since = now
        self._heard_until = now

    def is_live(self, consumer: Consumer) -> bool:
        """Say whether one is waited for."""
        return self.silent_seconds(consumer) < LIVE_SECONDS or self._was_unheard(consumer)

    def silent_seconds(self, consumer: Consumer) -> float:
        """Return for how long a consumer has said nothing while it could; while the store is away, nobody can.

        Whoever was there has its time again when the store is back: it was silenced by the outage.
        """
        now = self._steady() if self._health.up else self._health.down_since
        return max(0.0, now - max(self._silent_since.get(consumer.id, now), self._health.back_at))

    def lag(self, revision: int) -> bool:
        """Say whether any that is waited for has not applied a revision."""
        return any(each.applied < revision and self.is_live(each) for each in self.all)

    def silent(self, revision: int) -> list[tuple[Consumer, float]]:
        """Return those that went silent before they applied a revision, each with its seconds of silence."""
        found = [(each, self.silent_seconds(each)) for each in self.all if each.applied < revision]
        silent = [(each, seconds) for each, seconds in found if LIVE_SECONDS <= seconds < FORGOTTEN_SECONDS]
        return [(each, seconds) for each, seconds in silent if not self._was_unheard(each)]

    def _was_unheard(self, consumer: Consumer) -> bool:
        """Say whether a router that seems silent has not had its time yet to be heard by this server."""
        if consumer.kind != ROUTER_KIND or self._heard_until is None:
            return False
        now = self._steady()
        is_held_up = now - self._heard_until > DEAF_SECONDS
        has_had_time = not is_held_up and now - self._hears_since >= LIVE_SECONDS
        return not has_had_time and self.silent_seconds(consumer) < FORGOTTEN_SECONDS

    def gone(self) -> Iterator[Consumer]:
        """Yield those that are taken as gone, and that have said nothing for an hour before our own eyes."""
        now = self._steady()
        for each in self.all:
            watched = now - self._same_since.get(each.id, now) >= WATCHED_SECONDS
            if watched and self.silent_seconds(each) >= FORGOTTEN_SECONDS:
                yield each

    def applied_since(self, consumer: Consumer, revision: int) -> float | None:
        """Return since when, on the steady clock, a consumer is known to have applied a revision; None: it is not."""
        return next((since for applied, since in self._applied.get(consumer.id, ()) if applied >= revision), None)

    def seconds_since_all_applied(self, revision: int, *, kind: str) -> float:
        """Return for how long all of a kind are known to have applied a revision; infinite without any."""
        now = self._steady()
        since = (
            self.applied_since(each, revision)
            for each in self.all
            if each.kind == kind and self.silent_seconds(each) < FORGOTTEN_SECONDS
        )
        return min((0.0 if each is None else now - each for each in since), default=float("inf"))

    def _note_losses(self, there: set[str]) -> None:
        """Tell those who vanished with what the store has lost from those who left in order.

        Args:
            there: the ids that the store has.
        """
        now = self._steady()
        for each in self.all:
            if each.id not in there and each.id not in self._lost:
                self._vanished[each.id] = (each, now)
        self._vanished = {
            key: (each, since)
            for key, (each, since) in self._vanished.items()
            if key not in there and now - since < LIVE_SECONDS
        }
        if self._loss_noted:
            self._loss_noted = False
            self._lost.update({key: replace(each, applied=0) for key, (each, _) in self._vanished.items()})
        self._lost = {
            key: each
            for key, each in self._lost.items()
            if key not in there and self.silent_seconds(each) < FORGOTTEN_SECONDS
        }

    def _forget_details(self) -> None:
        """Drop what is remembered of consumers that are neither there nor have just vanished."""
        known = {each.id for each in self.all} | self._vanished.keys()
        for details in (self._silent_since, self._same_since, self._applied):
            for key in details.keys() - known:
                details.pop(key)
