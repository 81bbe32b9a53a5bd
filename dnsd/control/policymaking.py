"""The policy that workers answer by: what the configuration says, and what only this server knows."""

from __future__ import annotations

import secrets
from dataclasses import replace

from dnsd.core.cookies import SECRET_SIZE
from dnsd.core.policy import AnswerPolicy


class Policymaker:
    """Completes the policies of one control process.

    For want of a cookie secret in the configuration it has one of its own, so that all workers make the same cookies,
    those that are started later included. It is nowhere on disk: after a restart of the server it is another one.
    """

    def __init__(self) -> None:
        self._cookie_secret = secrets.token_bytes(SECRET_SIZE)

    def complete(self, configured: AnswerPolicy, *, stale: bool) -> AnswerPolicy:
        """Return a configured policy as workers need it.

        Args:
            stale: the store is out of reach.
        """
        known = (configured.cookie_secrets or (self._cookie_secret,)) if configured.cookies else ()
        return replace(configured, stale=stale, cookie_secrets=known)
