"""An admin interface on a free port of 127.0.0.1, with a client that says what came back."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from admin.app import make_app
from admin.connections import HEADER_TIMEOUT_SECONDS, MAX_CONNECTIONS
from admin.server import AdminServer
from admin.streams import HEARTBEAT_SECONDS
from dnsd.config.settings import Scope, Token
from tests.admin.fakebackend import FakeBackend

SECRETS = {
    "vera": "see-all", "olga": "do-all", "edge-agent": "own-node", "rita": "any-router", "router-1": "own-word",
}  # fmt: skip

TOKENS = (
    Token(name="vera", scope=Scope.VIEWER, sha256=hashlib.sha256(b"see-all").hexdigest()),
    Token(name="olga", scope=Scope.OPERATOR, sha256=hashlib.sha256(b"do-all").hexdigest()),
    Token(name="edge-agent", scope=Scope.AGENT, node="edge-1", sha256=hashlib.sha256(b"own-node").hexdigest()),
    Token(name="rita", scope=Scope.ROUTER, sha256=hashlib.sha256(b"any-router").hexdigest()),
    Token(name="router-1", scope=Scope.ROUTER, consumer="router-1", sha256=hashlib.sha256(b"own-word").hexdigest()),
)

DEADLINE_SECONDS = 30.0


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRETS[name]}"}


@dataclass(frozen=True)
class Got:
    """A response, read."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def problem(self) -> Any:
        """The body of an error, after checking that it is shaped like one."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self
        body = json.loads(self.text)
        assert body["status"] == self.status
        assert body["type"] == f"/problems/{body['id']}"
        assert body["title"]
        assert body["detail"]
        return body


async def up() -> bytes:
    """Return the least of all expositions."""
    return b"up 1\n"


class Site:
    """A running server and a client session."""

    def __init__(
        self,
        backend: FakeBackend,
        *,
        tokens: Sequence[Token] = (),
        metrics: Callable[[], Awaitable[bytes]] = up,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        max_connections: int = MAX_CONNECTIONS,
        header_timeout_seconds: float = HEADER_TIMEOUT_SECONDS,
    ) -> None:
        app = make_app(backend, tokens=lambda: tuple(tokens), metrics=metrics, heartbeat_seconds=heartbeat_seconds)
        self.backend = backend
        self.server = AdminServer(
            app, "127.0.0.1", 0, max_connections=max_connections, header_timeout_seconds=header_timeout_seconds
        )

    async def __aenter__(self) -> Self:
        await self.server.start()
        self.base = f"http://127.0.0.1:{self.server.port}"
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE_SECONDS))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()
        await self.server.stop()

    def url(self, path: str) -> URL:
        """The address of a path that is sent as it is written."""
        return URL(self.base + path, encoded=True)

    async def ask(self, method: str, path: str, **more: Any) -> Got:
        async with self.session.request(method, self.url(path), **more) as response:
            return Got(response.status, response.headers, await response.text())

    async def get(self, path: str, **more: Any) -> Got:
        return await self.ask("GET", path, **more)

    async def put(self, path: str, body: object, **more: Any) -> Got:
        return await self.ask("PUT", path, json=body, **more)

    async def drain(self, node: str = "edge-1", query: str = "", **fields: Any) -> Got:
        return await self.put(f"/v1/nodes/{node}/drain{query}", {"reason": "kernel", **fields})

    async def raw(self, request: bytes) -> bytes:
        """Send bytes as they are, and return everything until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            writer.write(request)
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
