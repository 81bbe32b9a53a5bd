"""What an operator has decided about answers, apart from what they name: the engine's part of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field

from dnsd.core.ratelimit import RateLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPolicy:
    """How to answer, whatever is asked for.

    Args:
        stale: the store is out of reach, so that answers are made of what was known last.
        nsid: who the server is to those who ask with NSID (RFC 5001); empty: it does not say.
        version_text, id_text: what it says of itself in class CH (RFC 4892); empty: it does not say.
        cookies: COOKIE options are to be understood (RFC 7873).
        cookie_secrets: 16 bytes each; the first makes cookies, those of all are accepted. Empty: the control process
            finds one, and without it no cookie is understood.
        require_cookies: a client that can use cookies gets no answer over UDP before it has a valid one.
        rate_limit: what a network gets over UDP from one worker; None: any number.
    """

    stale: bool = False
    nsid: str = ""
    version_text: str = ""
    id_text: str = ""
    cookies: bool = False
    cookie_secrets: tuple[bytes, ...] = field(default=(), repr=False)
    require_cookies: bool = False
    rate_limit: RateLimit | None = None


DEFAULT_POLICY = AnswerPolicy()
