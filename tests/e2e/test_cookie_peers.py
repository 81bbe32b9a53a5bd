"""Cookies of other server programs with the same secret, and ours there (RFC 9018 §3)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import pytest

from dnsd.core.engine import Engine
from dnsd.core.policy import AnswerPolicy
from tests.support.dnsmessages import snapshot_of, zone_of
from tests.support.options import COOKIE, Reply, ask, packet, read
from tests.support.peers import ASK_SECONDS, Peer, small_zone

SECRET = bytes(range(0x30, 0x40))
CLIENT = bytes.fromhex("2464c4abcf10c957")
ADDRESS = "127.0.0.1"

# Program → what its configuration has without cookies, what with them, and whether it answers bad ones with BADCOOKIE.
SET_UP = {
    "bind": (
        "  answer-cookie no;\n",
        f'  answer-cookie yes;\n  require-server-cookie yes;\n  cookie-secret "{SECRET.hex()}";\n',
        True,
    ),
    "knot": (
        "template:\n  - id: default\n",
        f"""\
mod-cookies:
  - id: default
    secret: 0x{SECRET.hex()}
template:
  - id: default
    global-module: mod-cookies/default
""",
        True,
    ),
    "nsd": ("server:\n", f"server:\n  answer-cookie: yes\n  cookie-secret: {SECRET.hex()}\n", False),
}


@pytest.fixture(scope="module", params=SET_UP)
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """Another program's server with our secret."""
    name: str = request.param
    folder: Path = tmp_path_factory.mktemp(name)
    server = Peer(name, small_zone(folder), folder)
    plain, with_cookies, _ = SET_UP[name]
    text = server.config.read_text()
    assert text.count(plain) == 1
    server.config.write_text(text.replace(plain, with_cookies))
    try:
        server.start()
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


def engine() -> Engine:
    policy = AnswerPolicy(cookies=True, cookie_secrets=(SECRET,))
    return Engine(snapshot_of(zone_of("ns A 192.0.2.1")), policy=policy)


def ask_peer(peer: Peer, cookie: bytes) -> Reply:
    query = dns.message.from_wire(packet("ns.example.org. A", [(COOKIE, cookie)]))
    response = dns.query.udp(query, ADDRESS, port=peer.port, timeout=10 * ASK_SECONDS)
    assert response.wire is not None
    return read(response.wire)


def test_their_cookie_is_valid_here(peer: Peer) -> None:
    """What a client has learned there, it may use here."""
    ours = engine()
    cookie = ask_peer(peer, CLIENT).cookie
    got = ask(ours, "ns.example.org. A", (COOKIE, cookie), peer=ADDRESS, now=time.time())
    assert got.text.startswith("NOERROR aa\nanswer:")
    assert got.cookie == cookie
    assert ours.events == {("cookies", "valid"): 1}


def test_our_cookie_is_valid_there(peer: Peer) -> None:
    """And the other way round: it is answered, or comes back as it is, where one that is made up is not."""
    tells = SET_UP[peer.name][2]
    cookie = ask(engine(), "ns.example.org. A", (COOKIE, CLIENT), peer=ADDRESS, now=time.time() - 100).cookie
    good, bad = ask_peer(peer, cookie), ask_peer(peer, cookie[:-1] + bytes([cookie[-1] ^ 1]))
    assert good.text.startswith("NOERROR aa\nanswer:")
    if tells:
        assert bad.text.startswith("BADCOOKIE")
    else:
        assert good.cookie == cookie
        assert bad.cookie != cookie
