"""Finding out who listens on an address."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest

from dnsd.control.holders import Holder, holders_of
from dnsd.transports.sockets import leave_group, open_tcp, open_udp
from tests.support.servers import free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
@pytest.mark.parametrize("opens", [open_udp, open_tcp])
def test_a_listener_is_found(host: str, opens: Callable[[tuple[str, int]], socket.socket]) -> None:
    """Over either transport and family, the process is named for exactly its address, and only while it listens."""
    address = (host, free_port())
    with opens(address):
        assert holders_of(address) == [Holder(os.getpid(), worker=False)]
        assert holders_of((host, address[1] - 1)) == []
        assert holders_of(("127.0.0.3", address[1])) == []
    assert holders_of(address) == []


def test_whoever_has_left_the_group_is_no_listener() -> None:
    """A worker that only answers its last queries is not found any more."""
    address = ("127.0.0.1", free_port())
    with open_udp(address) as sock:
        leave_group(sock)
        assert holders_of(address) == []
