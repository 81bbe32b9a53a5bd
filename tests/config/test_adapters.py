"""The tables of adapters: which run, where, and for whom."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from dnsd.config.settings import EnvoySettings, PowerDnsSettings
from dnsd.model.endpoint import Endpoint
from tests.config.files import GOOD_START, brief, load, problems


def test_an_adapter_runs_where_its_table_is(tmp_path: Path) -> None:
    """None does by itself; this machine may always use one, and whoever else is named."""
    assert load(tmp_path, GOOD_START).adapters == {}
    settings = load(tmp_path, GOOD_START + '[haproxy]\nlisten = "192.0.2.1:8055"\nallow = ["192.0.2.0/24"]\n')
    assert set(settings.adapters) == {"haproxy"}
    assert settings.adapters["haproxy"].listen == Endpoint("192.0.2.1", 8055)
    loopback = ip_network("127.0.0.0/8"), ip_network("::1/128")
    assert settings.adapters["haproxy"].allow == (*loopback, ip_network("192.0.2.0/24"))


def test_faults_of_adapters_have_their_places(tmp_path: Path) -> None:
    """A missing or taken address, one that strangers reach, and a network that is none, all at once."""
    text = """[haproxy]
[envoy]
listen = "192.0.2.1:8055"
[consul]
listen = "127.0.0.1:8053"
allow = ["192.0.2.300"]
[prometheus]
listen = "127.0.0.1"
"""
    assert brief(problems(tmp_path, GOOD_START + text)) == [
        ("adapter-open", 7, "envoy.listen"),
        ("bad-address", 12, "prometheus.listen"),
        ("bad-network", 10, "consul.allow[0]"),
        ("duplicate-listen", 9, "consul.listen"),
        ("missing-key", 5, "haproxy.listen"),
    ]


def test_who_writes_an_address_for_a_network_is_told_the_network(tmp_path: Path) -> None:
    """Bits beyond the prefix are a slip, or leave open what is meant."""
    table = '[haproxy]\nlisten = "192.0.2.1:8055"\nallow = ["192.0.2.5/24", "2001:db8::5/32"]\n'
    four, six = problems(tmp_path, GOOD_START + table)
    assert four.message.endswith("there are bits beyond the prefix; the network is 192.0.2.0/24")
    assert six.message.endswith("there are bits beyond the prefix; the network is 2001:db8::/32")


def test_an_address_that_is_taken_says_by_what_also_where_that_stands_in_no_file(tmp_path: Path) -> None:
    """The defaults are addresses like others."""
    table = '[haproxy]\nlisten = "127.0.0.1:5353"\n[consul]\nlisten = "127.0.0.1:8053"\n'
    assert [each.message for each in problems(tmp_path, GOOD_START + table)] == [
        "127.0.0.1:5353 is listed already, by server.listen[0]",
        "127.0.0.1:8053 is listed already, by admin.listen",
    ]


def test_the_ports_of_envoy_are_of_roles(tmp_path: Path) -> None:
    """By role, each one that there is; what is no port or no role is told with its place."""
    table = '[envoy]\nlisten = "127.0.0.1:8055"\n'
    settings = load(tmp_path, GOOD_START + table + "ports = { edge = 443, ingest = 1935 }\n").adapters["envoy"]
    assert isinstance(settings, EnvoySettings)
    assert settings.ports == {"edge": 443, "ingest": 1935}
    assert brief(problems(tmp_path, GOOD_START + table + "ports = { edgy = 443 }\n")) == [
        ("unknown-role", 7, "envoy.ports.edgy")
    ]
    assert brief(problems(tmp_path, GOOD_START + table + "ports = { edge = 0 }\n")) == [
        ("bad-value", 7, "envoy.ports.edge")
    ]


def test_powerdns_asks_at_a_socket_an_address_or_both(tmp_path: Path) -> None:
    """A relative path is relative to the configuration; without a word on caches, PowerDNS's defaults are assumed."""
    folder = load(tmp_path, GOOD_START + '[powerdns]\nsocket = "pdns.sock"\n').adapters["powerdns"]
    assert isinstance(folder, PowerDnsSettings)
    assert (folder.socket, folder.listen, folder.cache_seconds) == (tmp_path / "pdns.sock", None, 40.0)
    table = '[powerdns]\nsocket = "/run/x.sock"\nlisten = "127.0.0.1:8056"\ncache_ttl = "2s"\n'
    both = load(tmp_path, GOOD_START + table).adapters["powerdns"]
    assert isinstance(both, PowerDnsSettings)
    assert (both.socket, both.listen) == (Path("/run/x.sock"), Endpoint("127.0.0.1", 8056))
    assert both.cache_seconds == 2.0


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("", ("missing-key", 5, "powerdns.listen")),
        (f'socket = "/{"x" * 107}"\n', ("bad-socket", 6, "powerdns.socket")),
        ('socket = "/run/\\u0000"\n', ("bad-socket", 6, "powerdns.socket")),
        ('socket = ""\n', ("bad-socket", 6, "powerdns.socket")),
        ('socket = "/x"\ncache_ttl = "2h"\n', ("bad-duration", 7, "powerdns.cache_ttl")),
        ('listen = "192.0.2.1:8056"\n', ("adapter-open", 6, "powerdns.listen")),
        ("socket = 1\n", ("wrong-type", 6, "powerdns.socket")),
    ],
)
def test_faults_of_powerdns_have_their_places(tmp_path: Path, table: str, found: tuple[str, int, str]) -> None:
    """Nowhere to ask, a path that is too long for a socket, a time that makes no sense, and a door that is open."""
    assert brief(problems(tmp_path, GOOD_START + "[powerdns]\n" + table)) == [found]
