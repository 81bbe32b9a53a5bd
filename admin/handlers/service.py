"""The server itself: liveness, readiness, metrics, the API's description, and the page that links them."""

from __future__ import annotations

from html import escape

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from admin.call import Call, Reply
from dnsd import __version__

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>dnsd</title></head>
<body>
<h1>dnsd {version}</h1>
<p>Revision {revision}. {nodes}, {drains}, {pools}. {ready}.</p>
<ul>
{links}
</ul>
</body>
</html>
"""

_LINKS = (
    ("/v1/nodes", "nodes"),
    ("/v1/pools", "pools"),
    ("/v1/drains", "drains"),
    ("/v1/consumers", "consumers"),
    ("/v1/history", "history"),
    ("/readyz", "readiness"),
    ("/metrics", "metrics"),
    ("/openapi.json", "the whole API"),
)


async def livez(_call: Call) -> web.Response:
    """Say that the process answers."""
    return web.Response(text="ok\n")


async def readyz(call: Call) -> Reply:
    """Say whether the server answers as it should; 503 where it does not."""
    readiness = call.backend.readiness()
    return Reply(model=readiness, status=200 if readiness.ready else 503)


async def metrics(call: Call) -> web.Response:
    """Expose metrics in Prometheus' text format."""
    return web.Response(body=await call.services.metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def openapi(call: Call) -> web.Response:
    """Return this description."""
    return web.json_response(dict(call.services.openapi))


async def index(call: Call) -> web.Response:
    """Return a page for people that links the API."""
    backend = call.backend
    readiness = backend.readiness()
    page = _PAGE.format(
        version=escape(__version__),
        revision=backend.revision,
        nodes=_count(len(backend.nodes()), "node"),
        drains=_count(len(backend.drains()), "drain"),
        pools=_count(len(backend.pools()), "pool"),
        ready="Ready" if readiness.ready else escape("Not ready: " + "; ".join(readiness.problems)),
        links="\n".join(f'<li><a href="{escape(path)}">{escape(text)}</a></li>' for path, text in _LINKS),
    )
    return web.Response(text=page, content_type="text/html")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
