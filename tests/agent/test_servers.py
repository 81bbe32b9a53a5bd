"""The servers that an agent speaks to, without any of them."""

from __future__ import annotations

import pytest

from dnsd.agent.servers import Servers
from dnsd.api.errors import ServerUnreachable
from tests.support.servers import free_port


async def test_a_server_that_is_left_is_told_whatever_was_asked_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """The log says why and that it is the next one's turn, but not where there is none left to try."""
    urls = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    async with Servers(urls, token_file=None, timeout_seconds=5.0) as servers:
        for turn in (1, 0):
            with pytest.raises(ServerUnreachable):
                await servers.ask(lambda client: client.status("edge-1"))
            assert servers.url == urls[turn]
    (said,) = caplog.messages
    assert urls[0].removeprefix("http://") in said
    assert said.endswith("; trying the next server")
