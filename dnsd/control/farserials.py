"""The serials that one secondary was seen to have of one zone: which, since when, and whose.

It knows no secondary by name, no clock and no version: it is told of serials and instants.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dnsd.core.serials import is_newer

# Steps whose time is remembered. Of more, every second one of the older half is dropped: what it was the first with is
# then taken as seen with the next one, a little later. At two a second, half an hour is exact. Unit: steps.
STEPS_REMEMBERED = 4096


@dataclass(slots=True)
class _Step:
    """The first answer with a serial.

    Args:
        at: on the steady clock.
        ours: this server has made a version with it, so that what is in it is known.
    """

    serial: int
    at: float
    ours: bool


@dataclass(slots=True)
class FarSerials:
    """What a secondary said of a zone.

    Args:
        heard_at: instant of its last answer, on the steady clock; None: there was none.
        heard_at_wall: the same on the wall clock.
        failure: why its serial is not known now; None: the last question was answered.
    """

    heard_at: float | None = None
    heard_at_wall: float = 0.0
    failure: str | None = None
    _steps: list[_Step] = field(default_factory=list)

    @property
    def serial(self) -> int | None:
        """The last one; None: there was none."""
        return self._steps[-1].serial if self._steps else None

    @property
    def own_serial(self) -> int | None:
        """The last one of this server's; None: there was none."""
        return next((step.serial for step in reversed(self._steps) if step.ours), None)

    @property
    def changed_at(self) -> float | None:
        """Since when, on the steady clock, it has the last one."""
        return self._steps[-1].at if self._steps else None

    @property
    def is_foreign(self) -> bool:
        """Say whether another server has made what it has, so that nobody here knows what is in it."""
        return bool(self._steps) and not self._steps[-1].ours

    def answered(self, serial: int, *, ours: bool, at: float, at_wall: float) -> None:
        """Take note of an answer.

        After a silence, or where it has gone back, time counts anew: what it answered in between, nobody knows.
        """
        if self.failure is not None or (self.serial is not None and is_newer(self.serial, serial)):
            self._steps.clear()
        if self.serial != serial:
            self._steps.append(_Step(serial, at, ours))
            if len(self._steps) > STEPS_REMEMBERED:
                del self._steps[: STEPS_REMEMBERED // 2 : 2]
        self.heard_at, self.heard_at_wall, self.failure = at, at_wall, None

    def made_here(self, serial: int) -> None:
        """Take note that this server has now made what has a serial: it knows what is in it."""
        for step in self._last_first():
            if step.serial == serial:
                step.ours = True

    def has(self, serial: int) -> bool:
        """Say whether the last one is a serial or a newer one, whoever has made it."""
        return self.serial is not None and not is_newer(serial, self.serial)

    def since(self, serial: int) -> float | None:
        """Return since when it has a serial or a newer one, all of them this server's; None: it has not."""
        found: float | None = None
        for step in self._last_first():
            if not step.ours or is_newer(serial, step.serial):
                break
            found = step.at
        return found

    def _last_first(self) -> Iterator[_Step]:
        return reversed(self._steps)
