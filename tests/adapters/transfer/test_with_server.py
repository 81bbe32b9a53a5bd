"""A whole server: what secondaries get of it is what its workers answer."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.xfr
import dns.zone
import pytest

from tests.adapters.transfer.world import key, keyring_of, serial_of
from tests.support.servers import PATIENCE_SECONDS, Server, free_port, serving, wait_until

KEY = key("ns2-key.")

TRANSFER = """\
[transfer]
listen = ["127.0.0.1:{port}"]
coalesce = "0s"

[[transfer.key]]
name = "ns2-key."
secret = "{secret}"

[[transfer.secondary]]
name = "ns2"
key = "ns2-key."
sources = ["127.0.0.0/8"]
"""


@pytest.fixture(scope="module")
def transfer_port() -> int:
    """Where a secondary asks."""
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, transfer_port: int) -> Iterator[Server]:
    """Run a server with a secondary that may ask."""
    secret = base64.b64encode(KEY.secret).decode()
    folder: Path = tmp_path_factory.mktemp("transfer")
    with serving(folder, workers=1, more=TRANSFER.format(port=transfer_port, secret=secret)) as running:
        yield running


def bring(zone: dns.zone.Zone, port: int) -> None:
    """Transfer a zone."""
    query, _ = dns.xfr.make_query(zone, keyring=keyring_of(KEY))
    dns.query.inbound_xfr("127.0.0.1", zone, query, port, timeout=PATIENCE_SECONDS)


def addresses(zone: dns.zone.Zone, name: str) -> set[str]:
    """Return the IPv4 addresses of a name in a zone."""
    found = zone.get_rdataset(name, "A")
    return set() if found is None else {rdata.address for rdata in found}


def test_a_drain_is_a_difference_and_the_zone_is_what_is_answered(server: Server, transfer_port: int) -> None:
    """AXFR has every pool and node; IXFR brings a drain, then its end; answers have the serial; workers refuse."""
    zone = dns.zone.Zone(dns.name.from_text("example.org."), relativize=False)
    wait_until(lambda: "transfer: listens on" in server.said(), "the endpoint listens")
    bring(zone, transfer_port)
    assert addresses(zone, "edge.example.org.") == server.addresses("edge.example.org")
    assert addresses(zone, "edge-1.nodes.example.org.") == {"192.0.2.11"}
    assert addresses(zone, "ns.sub.example.org.") == {"192.0.2.53"}
    before = serial_of(zone)

    for command, gone in ((("drain", "edge-1", "--reason", "test"), True), (("undrain", "edge-1"), False)):
        server.cli(*command)
        last = serial_of(zone)

        def brought(last: int = last, gone: bool = gone) -> bool:
            bring(zone, transfer_port)
            return serial_of(zone) > last and ("192.0.2.11" not in addresses(zone, "edge.example.org.")) is gone

        wait_until(brought, "the change is a version")
        assert addresses(zone, "edge.example.org.") == server.addresses("edge.example.org")
        assert addresses(zone, "edge-1.nodes.example.org.") == {"192.0.2.11"}
    assert serial_of(zone) >= before + 2
    metrics = server.get("/metrics")
    assert 'dnsd_adapter_requests_total{adapter="transfer",result="axfr"} 1.0' in metrics
    assert 'dnsd_adapter_requests_total{adapter="transfer",result="ixfr"}' in metrics
    assert 'dnsd_adapter_requests_total{adapter="transfer",result="ixfr_as_axfr"}' not in metrics
    assert 'dnsd_adapter_up{adapter="transfer"} 1.0' in metrics

    def shown() -> bool:
        query = dns.message.make_query("example.org.", "SOA")
        answer = dns.query.udp(query, "127.0.0.1", port=server.dns_port, timeout=PATIENCE_SECONDS).answer
        return bool(answer[0][0].serial == serial_of(zone))

    wait_until(shown, "workers answer with the serial")
    query = dns.message.make_query("example.org.", "AXFR")
    refused = dns.query.tcp(query, "127.0.0.1", port=server.dns_port, timeout=PATIENCE_SECONDS)
    assert refused.rcode() == dns.rcode.REFUSED
