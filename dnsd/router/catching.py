"""Whatever a handler of the router's service raises, as an answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from dnsd.errors import InvalidRequest
from dnsd.router import problems
from dnsd.router.tokens import BadToken

log = logging.getLogger("dnsd.router")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever a handler raises."""
    try:
        return await handler(request)
    except InvalidRequest as error:
        return problems.invalid(error.field or "", error.detail)
    except BadToken as error:
        return problems.problem(403, "bad-token", "The session's token is not believed", str(error), field="session")
    except web.HTTPException as error:
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        word = (error.reason or "").lower().replace(" ", "-")
        return problems.problem(
            error.status, word, error.reason or "", f"{request.method} {request.path}", headers=headers
        )
    except Exception:  # whatever it is, the client gets an answer and the log a traceback
        log.exception("%s failed", request.path)
        return problems.problem(500, "internal-error", "The router failed", "see its log")
