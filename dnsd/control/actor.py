"""Who asks: the identity behind a request, from its token and never from its body."""

from __future__ import annotations

from dataclasses import dataclass

from dnsd.config.settings import Scope


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller of a request.

    Args:
        node: for an agent: the one node that it speaks for.
        consumer: for a router: the one consumer that it speaks for; None: any router.
    """

    name: str
    scope: Scope
    node: str | None = None
    consumer: str | None = None
