"""A small Internet on the loopback: a signed root, two servers of ours below it, and the names that they have.

    127.0.0.3   Knot   the root, signed; example.org and example.net are delegated without DS, so that they are insecure
    127.0.0.1   dnsd   example.org and example.net, with pools and records of nodes
    127.0.0.2   dnsd   sub.example.org, which example.org delegates

All listen on the same port, as the real ones do. Whoever asks starts at the root, follows referrals, and finds the same
addresses in the zones.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.dnssec
import dns.exception
import dns.message
import dns.query
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.peers import ASK_SECONDS, Peer
from tests.support.servers import Server, wait_until

OURS, CHILD, ROOT = "127.0.0.1", "127.0.0.2", "127.0.0.3"

# How long the root's signatures are good. Unit: seconds.
SIGNED_SECONDS = 86_400

ROOT_TEXT = f"""\
$ORIGIN .
$TTL 3600
@               SOA   ns.root. hostmaster.root. 1 7200 900 1209600 60
                NS    ns.root.
ns.root.        A     {ROOT}
example.org.    NS    ns1.example.org.
ns1.example.org. A    {OURS}
example.net.    NS    ns1.example.net.
ns1.example.net. A    {OURS}
"""

ORG_TEXT = f"""\
$ORIGIN example.org.
$TTL 300
@               SOA   ns1 hostmaster 1 7200 900 1209600 60
                NS    ns1
                MX    10 mail
                CAA   0 issue "ca.example.net"
ns1             A     {OURS}
mail            A     192.0.2.2
www             CNAME edge
far             CNAME target.example.net.
gone            CNAME missing.example.net.
one             CNAME two
two             CNAME three
three           CNAME four
four            CNAME mail
*.wild          TXT   "any"
                A     192.0.2.81
*.alias         CNAME edge
a.b.c.deep      TXT   "below empty names"
sub             NS    ns.sub
ns.sub          A     {CHILD}
old             DNAME new
*.new           A     192.0.2.80
abroad          DNAME example.net.
_sip._tcp       SRV   0 0 5060 mail
svc             SVCB  1 mail alpn=h2 port=8443
web             HTTPS 0 svc
big             TXT   {" ".join('"' + "x" * 250 + '"' for _ in range(8))}
many            TXT   {" ".join('"' + "y" * 250 + '"' for _ in range(100))}
"""

NET_TEXT = f"""\
$ORIGIN example.net.
$TTL 300
@       SOA   ns1 hostmaster 1 7200 900 1209600 60
        NS    ns1
ns1     A     {OURS}
target  CNAME edge.example.org.
host    AAAA  2001:db8::82
ca      A     192.0.2.83
"""

CHILD_TEXT = f"""\
$ORIGIN sub.example.org.
$TTL 300
@       SOA   ns hostmaster 1 7200 900 1209600 60
        NS    ns
ns      A     {CHILD}
host    A     192.0.2.70
back    CNAME edge.example.org.
*       TXT   "any"
"""

POOLS = """
[[pool]]
name = "*.any.example.org."
role = "ingest"
ttl = 10
"""

CHILD_CONFIG = """\
version = 1

[server]
id = "child"
listen = ["{address}:{port}"]
workers = 1

[admin]
listen = "127.0.0.1:{admin}"

[store]
url = "memory://"

[[zone]]
name = "sub.example.org."
file = "sub.zone"
"""


@dataclass(frozen=True, slots=True)
class World:
    """What runs.

    Args:
        port: of every server.
        anchor: the root's DNSKEY, as a record's data.
        servers: ours, the parent first.
    """

    port: int
    anchor: str
    servers: tuple[Server, Server]


@contextlib.contextmanager
def world(folder: Path) -> Iterator[World]:
    """Run all servers for the length of a module."""
    parent_folder, child_folder, root_folder = (folder / name for name in ("parent", "child", "root"))
    for each in (parent_folder, child_folder, root_folder):
        each.mkdir()
    parent = Server(parent_folder, store="memory", more=POOLS)
    (parent_folder / "example.org.zone").write_text(ORG_TEXT)
    (parent_folder / "example.net.zone").write_text(NET_TEXT)
    child = Server(child_folder, store="memory")
    (child_folder / "sub.zone").write_text(CHILD_TEXT)
    child.config.write_text(CHILD_CONFIG.format(address=CHILD, port=parent.dns_port, admin=child.admin_port))
    zone, anchor = signed_root()
    (root_folder / "root.zone").write_text(zone)
    root = Peer("knot", {".": root_folder / "root.zone"}, root_folder)
    text = root.config.read_text()
    root.config.write_text(text.replace(f"127.0.0.1@{root.port}", f"{ROOT}@{parent.dns_port}"))
    with contextlib.ExitStack() as stack:
        for server in (parent, child):
            stack.callback(server.close)
            server.start()
        stack.callback(root.stop)
        root.start()
        wait_until(lambda: _answers(ROOT, parent.dns_port), "the root answers")
        yield World(parent.dns_port, anchor, (parent, child))


def _answers(address: str, port: int) -> bool:
    try:
        response = dns.query.udp(dns.message.make_query(".", "SOA"), address, port=port, timeout=ASK_SECONDS)
    except (dns.exception.Timeout, OSError):
        return False
    return bool(response.answer)


def signed_root() -> tuple[str, str]:
    """Return the root zone, signed by a key made for it, and that key."""
    zone = dns.zone.from_text(ROOT_TEXT, origin=".", relativize=False)
    private = ec.generate_private_key(ec.SECP256R1())
    key = dns.dnssec.make_dnskey(private.public_key(), dns.dnssec.ECDSAP256SHA256, flags=257)
    now = int(time.time())
    with zone.writer() as changes:
        dns.dnssec.sign_zone(
            zone,
            changes,
            keys=[(private, key)],
            dnskey_ttl=3600,
            inception=now - 3600,
            expiration=now + SIGNED_SECONDS,
        )
    return zone.to_text(relativize=False), key.to_text()
