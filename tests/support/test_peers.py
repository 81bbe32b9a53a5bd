"""The harness of other servers: they answer, they end without a trace, and say why they did not come up."""

from __future__ import annotations

import tempfile
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import psutil
import pytest

from tests.support.peers import ASK_SECONDS, KINDS, SMALL_ZONE, Peer, peering, small_zone
from tests.support.servers import alive


@pytest.mark.parametrize("name", KINDS)
def test_a_server_answers_and_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    """It has the zone and refuses others over UDP and TCP; then its processes and its folder are gone."""
    with peering({name: small_zone(tmp_path)}) as peers:
        peer = peers[name]
        assert peer.process is not None
        own = psutil.Process(peer.process.pid)
        family = [own, *own.children(recursive=True)]
        for ask in (dns.query.udp, dns.query.tcp):
            for question, rcode in (("ns.example.org", dns.rcode.NOERROR), ("example.com", dns.rcode.REFUSED)):
                query = dns.message.make_query(question, "A")
                assert ask(query, "127.0.0.1", port=peer.port, timeout=10 * ASK_SECONDS).rcode() == rcode
    assert not any(map(alive, family))
    assert not peer.folder.exists()


@pytest.mark.parametrize("name", KINDS)
def test_a_server_without_its_zone_shows_its_log(name: str, tmp_path: Path) -> None:
    """A zone that does not load fails the test with what the server says of it."""
    with tempfile.TemporaryDirectory(prefix="dnsd-peer-") as folder:
        peer = Peer(name, small_zone(tmp_path, SMALL_ZONE.replace("192.0.2.1", "192.0.2.bad")), Path(folder))
        try:
            peer.start()
            with pytest.raises(AssertionError, match=r"serves every zone(?s:.)*zone(', line |:)5"):
                peer.wait_until_ready(seconds=1.0)
        finally:
            peer.stop()
