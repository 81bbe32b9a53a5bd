"""The servers that are compared, on one set of zones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.zones import FILES, NOT_LOADED
from tests.support.peers import KINDS, peering
from tests.support.servers import serving


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The port of each server, ours under the name `dnsd`, for the tests of a module."""
    tables = "\n".join(f'[[zone]]\nname = "{apex}"\nfile = "{file}"\n' for apex, file in FILES.items())
    zones_of = {
        name: {apex: file for apex, file in FILES.items() if apex not in NOT_LOADED.get(name, ())} for name in KINDS
    }
    folder = tmp_path_factory.mktemp("differential")
    with serving(folder, store="memory", workers=1, more=tables) as server, peering(zones_of) as peers:
        yield {"dnsd": server.dns_port, **{name: peer.port for name, peer in peers.items()}}
