"""How far a server has come, and whether it reaches its store: what is asked before its word is taken."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from dnsd.api.address import path_of
from dnsd.api.errors import ApiError, UnexpectedAnswer
from dnsd.api.exchange import Exchange
from dnsd.api.schemas import Readiness

# For each of the two small answers. Unit: seconds.
ASK_SECONDS = 5.0

# A server's word for a store that it does not reach, or whose state it has not confirmed yet.
CUT_OFF_PROBLEM = "drains cannot be changed"


@dataclass(frozen=True, slots=True)
class Standing:
    """A server's own word.

    Args:
        revision: of the state that it tells of.
        is_cut_off: it cannot say that this is the store's, or does not tell.
    """

    revision: int
    is_cut_off: bool


async def standing_of(exchange: Exchange) -> Standing:
    """Ask a server.

    Args:
        exchange: with it; its timeout is `ASK_SECONDS`.

    Raises:
        ClientError: it cannot be asked, or it answers without a revision.
    """
    return Standing(await _revision_of(exchange), await _is_cut_off(exchange))


async def _revision_of(exchange: Exchange) -> int:
    limits = aiohttp.ClientTimeout(total=ASK_SECONDS)
    async with exchange.open("GET", path_of("drains"), query=[("limit", "1")], limits=limits) as response:
        text = response.headers.get("ETag", "").strip('"')
        if not (text.isascii() and text.isdigit()):
            raise UnexpectedAnswer(str(response.url), status=response.status, reason="it names no revision as its ETag")
        return int(text)


async def _is_cut_off(exchange: Exchange) -> bool:
    try:
        readiness = await exchange.ask("GET", "/readyz", answer=Readiness)
    except (ApiError, UnexpectedAnswer):
        return True  # it is not ready for anybody
    return any(CUT_OFF_PROBLEM in each for each in readiness.problems)
