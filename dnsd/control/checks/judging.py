"""From the verdicts on a node's targets to its health in a role, and why, in words. The worst one counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dnsd.control.checks.probing import Outcome
from dnsd.control.checks.verdict import NOTHING_KNOWN, Verdict
from dnsd.model.check import Checked, Target
from dnsd.model.report import Health

# The most failing targets of a node that are named. Unit: targets.
MAX_NAMED = 3


@dataclass(slots=True)
class Standing:
    """What is known of a target.

    Args:
        last: None: it was not tried yet.
    """

    target: Target
    verdict: Verdict = NOTHING_KNOWN
    last: Outcome | None = None

    @property
    def text(self) -> str:
        """What is wrong with it, or how it is."""
        if self.last is None:
            return f"check {self.target.text}: no result yet"
        failures = self.verdict.failures
        count = f", {failures} {'failure' if failures == 1 else 'failures'}" if failures else ""
        return f"check {self.target.text}: {self.last.text}{count}"


def judge(role: str, standings: Sequence[Standing], *, before: Health, barred: Sequence[Target] = ()) -> Checked:
    """Return the health of a node in a role.

    Args:
        standings: of its targets for the role.
        before: what was said last. It holds until every target has a verdict, so that a reload that changes a check
            moves nobody before it knows better.
        barred: targets that must not be tried: what is not known of them is never up.
    """
    if not standings and not barred:
        return Checked(Health.UNKNOWN, f"no [[check]] is for it in the role {role}")
    of = {health: [each for each in standings if each.verdict.health is health] for health in Health}
    if of[Health.DOWN]:
        return Checked(Health.DOWN, _named(of[Health.DOWN]))
    if barred:
        return Checked(Health.UNKNOWN, _named_barred(barred))
    if of[Health.UNKNOWN]:
        return Checked(before, _named(of[Health.UNKNOWN]))
    failing = [each for each in standings if each.verdict.failures]
    return Checked(Health.UP, _named(failing or standings))


def _named(standings: Sequence[Standing]) -> str:
    return _first([each.text for each in standings])


def _named_barred(targets: Sequence[Target]) -> str:
    why = "not tried, since a registered node has no say over this machine and link ([health] check_local)"
    return _first([f"check {each.text}: {why}" for each in targets])


def _first(texts: Sequence[str]) -> str:
    left = len(texts) - MAX_NAMED
    text = "; ".join(texts[:MAX_NAMED])
    return text if left <= 0 else f"{text}; and {left} more"
