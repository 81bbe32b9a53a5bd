"""From results of tries to a verdict: how many in a row it takes.

              ┌── first success ──► up ──`fall` failures in a row──► down
    unknown ──┤                     ▲                                 │ ▲
              │                     └─────`rise` successes in a row───┘ │
              └── `fall` failures in a row ─────────────────────────────┘

The first success counts for `rise` of them: a server that starts must know soon who is there. It knows no time.
"""

from __future__ import annotations

from dataclasses import dataclass

from dnsd.model.report import Health


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is thought of a target.

    Args:
        successes, failures: in a row, the last result counted in; one of them is 0.
    """

    health: Health = Health.UNKNOWN
    successes: int = 0
    failures: int = 0

    def after(self, ok: bool, *, rise: int, fall: int) -> Verdict:
        """Return the verdict after one more result."""
        if ok:
            successes = self.successes + 1
            up = self.health is not Health.DOWN or successes >= rise
            return Verdict(Health.UP if up else Health.DOWN, successes, 0)
        failures = self.failures + 1
        return Verdict(Health.DOWN if failures >= fall else self.health, 0, failures)


NOTHING_KNOWN = Verdict()
