"""What an adapter is given: what it renders, its settings, and where it says how it fares."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from dnsd.control.plane import ControlPlane

log = logging.getLogger("dnsd.adapters")

# Between two lines of log of one kind about one adapter: peers repeat their mistakes. Unit: seconds.
COMPLAINT_INTERVAL_SECONDS = 60.0

# Kinds of complaints that an adapter tells apart; what is more is not logged, and counted all the same. Unit: kinds.
MAX_COMPLAINTS = 256

SettingsT = TypeVar("SettingsT")


class Adapter(Protocol):
    """Serves other programs in their protocol."""

    async def run(self) -> None:
        """Serve until cancelled, and leave nothing open.

        Raises:
            StartError: an address or file cannot be had.
            Exception: a fault of ours; it is started anew.
        """


@dataclass(slots=True)
class Complaints:
    """A log that says each kind of thing once a minute, and how often it came meanwhile.

    Args:
        name: whose it is.
        steady: gives seconds on a clock that nobody sets.
    """

    name: str
    steady: Callable[[], float] = time.monotonic
    _said: dict[str, tuple[float, int]] = field(default_factory=dict)  # when last, how many since

    def say(self, kind: str, detail: str, *, level: int = logging.WARNING) -> None:
        """Log what a peer does wrong.

        Args:
            kind: what is told apart, of few values; a peer cannot choose it freely.
            detail: the rest of the line.
            level: of `logging`; INFO for the end of what was wrong.
        """
        now = self.steady()
        said = self._said.get(kind)
        if said is None and len(self._said) >= MAX_COMPLAINTS:
            self._said = {each: when for each, when in self._said.items() if now - when[0] < COMPLAINT_INTERVAL_SECONDS}
            if len(self._said) >= MAX_COMPLAINTS:
                return
        if said is not None and now - said[0] < COMPLAINT_INTERVAL_SECONDS:
            self._said[kind] = said[0], said[1] + 1
            return
        self._said[kind] = now, 0
        more = f" ({said[1]} more like it in the minute before)" if said is not None and said[1] else ""
        log.log(level, "%s: %s: %s%s", self.name, kind, detail, more)


@dataclass(slots=True)
class AdapterContext(Generic[SettingsT]):
    """An adapter's surroundings.

    Args:
        plane: what it renders, and what it may ask.
        name: of its table in the configuration.
        settings: its own.
        counts: (adapter, result) → requests since the server's start.
        up: whether it serves, for the metric.
    """

    plane: ControlPlane
    name: str
    settings: SettingsT
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    up: bool = False
    complaints: Complaints = field(init=False)

    def __post_init__(self) -> None:
        self.complaints = Complaints(self.name)

    def count(self, result: str) -> None:
        """Count a request by what became of it: `ok`, `refused`, `malformed` and the like, few in all."""
        self.counts[self.name, result] += 1

    def refuse(self, peer: str | None) -> None:
        """Count and log one whose address is not allowed."""
        self.count("refused")
        self.complaints.say("refused", f"{peer} is not among those who are allowed")

    def listening(self, where: str) -> None:
        """Say that it serves from now on."""
        self.up = True
        log.info("%s: listens on %s", self.name, where)
