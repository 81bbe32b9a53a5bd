"""What an operator has decided about answers, apart from what they name: the engine's part of the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPolicy:
    """How to answer, whatever is asked for.

    Args:
        stale: the store is out of reach, so that answers are made of what was known last.
    """

    stale: bool = False


DEFAULT_POLICY = AnswerPolicy()
