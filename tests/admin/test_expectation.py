"""A client that waits for leave to send its body, and has gone before it has it."""

from __future__ import annotations

from types import SimpleNamespace

from aiohttp import HttpVersion11, web
from aiohttp.client_exceptions import ClientConnectionResetError

from admin.expectation import answer_expectation


class GoneWriter:
    """Towards a client that is there no more."""

    output_size = 7

    async def write(self, chunk: bytes) -> None:
        raise ClientConnectionResetError("Cannot write to closing transport")


async def test_who_has_gone_before_it_may_go_on_is_no_fault() -> None:
    """Nothing is raised, which the log would show with a traceback; the answer then finds nobody."""
    request = SimpleNamespace(headers={"Expect": "100-Continue"}, version=HttpVersion11, writer=GoneWriter())
    assert await answer_expectation(request, unknown=web.Response) is None  # type: ignore[arg-type]
    assert request.writer.output_size == 0
