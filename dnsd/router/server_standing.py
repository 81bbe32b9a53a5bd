"""How far a server has come, and whether it reaches its store: what is asked before its word is taken."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from dnsd.api.address import path_of
from dnsd.api.errors import ApiError, UnexpectedAnswer
from dnsd.api.exchange import Exchange, revision_of
from dnsd.api.schemas import Readiness

# For each of the small answers. Unit: seconds.
ASK_SECONDS = 5.0

# A server's word for a store that it does not reach, or whose state it has not confirmed yet.
CUT_OFF_PROBLEM = "drains cannot be changed"


@dataclass(frozen=True, slots=True)
class Word:
    """How far somebody has come.

    Args:
        revision: 0: nowhere yet.
        mark: by which the revision is known; empty: by its number alone.
    """

    revision: int = 0
    mark: str = ""


NOTHING = Word()


@dataclass(frozen=True, slots=True)
class Standing:
    """A server's own word.

    Args:
        revision: of the state that it tells of.
        is_cut_off: it cannot say that this is the store's, or does not tell.
    """

    revision: int
    is_cut_off: bool


async def standing_of(exchange: Exchange, word: Word | None = None) -> Standing:
    """Ask a server.

    Args:
        exchange: with it; its timeout is `ASK_SECONDS`.
        word: how far it has just said that it is; None: that is to be asked.

    Raises:
        ClientError: it cannot be asked, or it answers without a revision.
    """
    revision = await _revision_of(exchange) if word is None else word.revision
    return Standing(revision, await _is_cut_off(exchange))


async def _revision_of(exchange: Exchange) -> int:
    limits = aiohttp.ClientTimeout(total=ASK_SECONDS)
    async with exchange.open("GET", path_of("drains"), query=[("limit", "1")], limits=limits) as response:
        revision = revision_of(response)
        if revision is None:
            raise UnexpectedAnswer(str(response.url), status=response.status, reason="it names no revision as its ETag")
        return revision


async def _is_cut_off(exchange: Exchange) -> bool:
    try:
        readiness = await exchange.ask("GET", "/readyz", answer=Readiness)
    except (ApiError, UnexpectedAnswer):
        return True  # it is not ready for anybody
    return any(CUT_OFF_PROBLEM in each for each in readiness.problems)
