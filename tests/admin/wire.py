"""A connection to a site over which bytes go as they are, and what an agent sends over it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.admin.site import DEADLINE_SECONDS, Site

REPORT = {
    "sequence": 7,
    "observed_at": "2026-01-31T12:00:00.250Z",
    "health": {"edge": "up"},
    "sessions": {"edge": {"viewers": 3, "inputs": 0, "jobs": None}},
    "applied_revision": 4,
    "local_drains": ["edge"],
}
BODY = json.dumps(REPORT).encode()
JSON = "Content-Type: application/json"


def request(*fields: str, node: str = "edge-1", body: bytes = BODY, size: int | None = None) -> bytes:
    """Return an agent's request."""
    length = len(body) if size is None else size
    lines = (f"POST /v1/nodes/{node}/report HTTP/1.1", "Host: 127.0.0.1", *fields, f"Content-Length: {length}", "", "")
    return "\r\n".join(lines).encode() + body


class Wire:
    """A connection over which bytes go as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    async def answer(self) -> tuple[bytes, dict[str, str], bytes]:
        """Read a response: its first line, its header without the date, and its body."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *fields = head[:-4].decode().split("\r\n")
            header = dict(field.lower().split(": ", 1) for field in fields)
            assert len(header) == len(fields)
            assert header.pop("date").endswith(" gmt")
            return first.encode(), header, await self._reader.readexactly(int(header["content-length"]))


@asynccontextmanager
async def wire(site: Site) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    yield Wire(reader, writer)
    writer.transport.abort()
