"""What a good configuration becomes."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from dnsd.cli.main import cli
from dnsd.config.reload import needs_restart
from dnsd.config.settings import Scope, Token
from dnsd.core import names
from dnsd.core.ratelimit import RateLimit
from dnsd.model.endpoint import Endpoint
from dnsd.model.node import Monitor
from dnsd.model.pool import Floor, WhenEmpty
from dnsd.transports.limits import TcpLimits
from tests.config.files import GOOD_START, ZONE, load, write

NODE = '[[node]]\nid = "n1"\naddresses = ["2001:DB8::0:1"]\nroles = ["edge"]\n'
POOL = '[[pool]]\nname = "Edge.EXAMPLE.org"\nrole = "edge"\n'


def test_defaults(tmp_path: Path) -> None:
    """What the file does not say has the documented defaults."""
    settings = load(tmp_path, GOOD_START)
    assert settings.roles == ("ingest", "edge", "storage", "processing")
    assert settings.server_id == socket.gethostname()
    assert settings.listen == (Endpoint("127.0.0.1", 5353), Endpoint("::1", 5353))
    assert settings.workers == os.cpu_count()
    assert settings.admin_listen == Endpoint("127.0.0.1", 8053)
    assert (settings.store_url, settings.store_prefix, settings.state_file) == ("memory://", "dnsd", None)
    assert (settings.default_expiry_seconds, settings.stale_after_seconds) == (4 * 3600.0, 30.0)
    assert settings.warn_after_seconds == 24 * 3600.0
    assert load(tmp_path, GOOD_START + '[drain]\nwarn_after = "90m"\n').warn_after_seconds == 5400.0
    assert settings.check_local is False
    assert load(tmp_path, GOOD_START + "[health]\ncheck_local = true\n").check_local is True
    assert set(settings.zones) == {names.from_text("example.org.")}
    assert [warning.rpartition(" ")[2] for warning in settings.warnings] == ["[store-forgets]"]


def test_limits_have_their_defaults(tmp_path: Path) -> None:
    """Answers are limited unless the file says otherwise, but for clients on the machine; TCP as its limits say."""
    settings = load(tmp_path, GOOD_START + "[server]\nworkers = 1\n")
    local = ("127.0.0.0/8", "::1/128")
    assert settings.policy.rate_limit == RateLimit(responses_per_second=200, allow=local, starts_at=500)
    assert settings.tcp == TcpLimits()


def test_each_worker_has_its_part_of_the_rate_limit(tmp_path: Path) -> None:
    """Rates are divided by the number of workers, networks are canonical, and 0 means none."""
    text = "[server]\nworkers = 4\n[rate_limit]\nresponses_per_second = 10\ntotal_per_second = 100\nstarts_at = 20\n"
    text += 'window = "5s"\nslip = 1\nipv4_prefix = 32\nipv6_prefix = 64\nallow = ["192.0.2.1", "2001:DB8:0::/48"]\n'
    assert load(tmp_path, GOOD_START + text).policy.rate_limit == RateLimit(
        responses_per_second=2.5,
        total_per_second=25,
        window_seconds=5,
        slip=1,
        ipv4_prefix=32,
        ipv6_prefix=64,
        allow=("192.0.2.1/32", "2001:db8::/48"),
        starts_at=5,
    )
    assert load(tmp_path, GOOD_START + "[rate_limit]\nresponses_per_second = 0\n").policy.rate_limit is None


def test_limits_on_tcp_are_those_of_the_file(tmp_path: Path) -> None:
    """Each key has its field, and a default that would exceed a lower limit gives way to it."""
    text = '[tcp]\nidle = "500s"\nconnections = 9\nconnections_per_client = 3\nevictable_after = "2s"\n'
    text += "queries_per_connection = 5\nunsent_bytes = 2048\n"
    assert load(tmp_path, GOOD_START + text).tcp == TcpLimits(
        idle_seconds=500,
        connections=9,
        connections_per_client=3,
        evictable_seconds=2,
        queries_per_connection=5,
        unsent_bytes=2048,
    )
    assert load(tmp_path, GOOD_START + "[tcp]\nconnections = 9\n").tcp.connections_per_client == 9


def test_networks_of_mapped_addresses_are_those_of_ipv4(tmp_path: Path) -> None:
    """Sockets tell a client's IPv4 address as one of IPv4, and so it is found in what is listed as mapped."""
    listed = '["::ffff:127.0.0.9", "::ffff:10.0.0.0/104", "::fffe:0:0/95", "2001:db8::/32"]'
    settings = load(tmp_path, GOOD_START + f"[proxy]\nfrom = {listed}\n[rate_limit]\nallow = {listed}\n")
    assert settings.proxies == ("127.0.0.9/32", "10.0.0.0/8", "::fffe:0:0/95", "2001:db8::/32")
    assert settings.policy.rate_limit is not None
    assert settings.policy.rate_limit.allow == settings.proxies


def test_wildcards_of_both_families_may_have_one_port(tmp_path: Path) -> None:
    """Sockets of IPv6 take no IPv4 address, and other ports are other addresses."""
    text = '[server]\nlisten = ["0.0.0.0:5353", "[::]:5353", "127.0.0.1:5354"]\n[admin]\nlisten = "127.0.0.1:0"\n'
    listen = (Endpoint("0.0.0.0", 5353), Endpoint("::", 5353), Endpoint("127.0.0.1", 5354))
    assert load(tmp_path, GOOD_START + text).listen == listen


def proxy_warnings(folder: Path, text: str) -> list[str]:
    """Return what is said of proxies, without the file's name."""
    found = (warning.removeprefix(f"{folder / 'config.toml'}:") for warning in load(folder, GOOD_START + text).warnings)
    return [warning for warning in found if ": proxy." in warning]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "::ffff:0:0/96"])
def test_a_proxy_that_anybody_can_be_is_warned_of(tmp_path: Path, network: str) -> None:
    """A network of all addresses is named with its place; a smaller one is not."""
    text = '[server]\nworkers = 1\n[proxy]\nfrom = ["10.0.0.0/8", "{network}"]\n'
    (warning,) = proxy_warnings(tmp_path, text.format(network=network))
    assert warning.startswith(f"8: proxy.from[1]: {network} is everybody: ")
    assert warning.endswith(" [proxy-is-anybody]")


def test_limits_behind_a_proxy_are_warned_of(tmp_path: Path) -> None:
    """With several workers each has a part of the limits; not with one, without limits, or without a proxy."""
    proxy = '[proxy]\nfrom = ["192.0.2.1"]\n'
    (warning,) = proxy_warnings(tmp_path, proxy + "[server]\nworkers = 4\n")
    assert warning.startswith("6: proxy.from: a proxy that asks over UDP from one port reaches one of 4 workers")
    assert "sockets=64" in warning
    assert warning.endswith(" [limits-behind-proxy]")
    assert proxy_warnings(tmp_path, proxy + "[server]\nworkers = 1\n") == []
    assert proxy_warnings(tmp_path, proxy + "[server]\nworkers = 4\n[rate_limit]\nresponses_per_second = 0\n") == []
    assert proxy_warnings(tmp_path, "[proxy]\nfrom = []\n[server]\nworkers = 4\n") == []


def test_nodes_are_canonical(tmp_path: Path) -> None:
    """Addresses are in canonical text, and a configured node is healthy unless said otherwise."""
    node = load(tmp_path, GOOD_START + NODE).nodes["n1"]
    assert node.addresses == ("2001:db8::1",)
    assert node.monitor is Monitor.NONE
    assert node.configured


def test_pools_are_qualified_and_selectors_flat(tmp_path: Path) -> None:
    """Owners are folded with a final dot; `labels = {…}` in a selector is the same as its keys."""
    more = 'match = { region = "eu", labels = { tier = "gold" } }\nfloor = "25%"\nwhen_empty = "pool:B.example.org"\n'
    other = '[[pool]]\nname = "b.example.org."\nrole = "edge"\nmatch = { tier = "gold" }\n'
    edge, b = load(tmp_path, GOOD_START + POOL + more + other).pools
    assert edge.owner == "edge.example.org."
    assert edge.match == {"region": "eu", "tier": "gold"}
    assert edge.floor == Floor(count=0, share=0.25)
    assert (edge.when_empty, edge.fallback) == (WhenEmpty.POOL, "b.example.org.")
    assert (b.match, b.floor, b.when_empty) == ({"tier": "gold"}, Floor(1), WhenEmpty.NODATA)


def test_a_pool_may_be_a_wildcard_stand_at_the_apex_or_beside_text(tmp_path: Path) -> None:
    """Owners that hold no address in the zone file can be pools."""
    owners = ["*.cdn.example.org.", "example.org.", "text.example.org."]
    pools = "".join(f'[[pool]]\nname = "{owner}"\nrole = "edge"\n' for owner in owners)
    assert [pool.owner for pool in load(tmp_path, GOOD_START + pools).pools] == owners


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("sqlite:///var/lib/x.db", "sqlite:///var/lib/x.db"),
        ("sqlite://./var/x.db", "sqlite://{folder}/var/x.db"),
        ("sqlite://../x.db", "sqlite://{folder}/../x.db"),
        ("memory://", "memory://"),
    ],
)
def test_store_paths_are_relative_to_the_file(tmp_path: Path, url: str, resolved: str) -> None:
    """Three slashes begin an absolute path; a dot begins one relative to the configuration file."""
    settings = load(tmp_path, GOOD_START + f'[store]\nurl = "{url}"\nstate_file = "var/last"\n')
    assert settings.store_url == resolved.format(folder=tmp_path)
    assert settings.state_file == tmp_path / "var/last"


def test_tokens(tmp_path: Path) -> None:
    """With tokens the admin interface may listen anywhere; an agent's token may name a node yet to register."""
    text = '[admin]\nlisten = "0.0.0.0:0"\n[[admin.token]]\nname = "n9-agent"\nscope = "agent"\nnode = "n9"\n'
    settings = load(tmp_path, GOOD_START + text + f'sha256 = "{"AB" * 32}"\n')
    assert settings.admin_listen == Endpoint("0.0.0.0", 0)
    assert settings.tokens == (Token(name="n9-agent", scope=Scope.AGENT, sha256="ab" * 32, node="n9"),)


def test_a_routers_token_may_name_its_consumer(tmp_path: Path) -> None:
    """Without one, it speaks for any router."""
    token = '[[admin.token]]\nname = "{0}"\nscope = "router"\nsha256 = "{1}"\n'
    text = token.format("routers", "ab" * 32) + token.format("gw", "cd" * 32) + 'consumer = "gw@1.example:80"\n'
    assert load(tmp_path, GOOD_START + text).tokens == (
        Token(name="routers", scope=Scope.ROUTER, sha256="ab" * 32),
        Token(name="gw", scope=Scope.ROUTER, sha256="cd" * 32, consumer="gw@1.example:80"),
    )


def test_pools_and_nodes_may_be_pointed_to_from_zones(tmp_path: Path) -> None:
    """A record that points to a pool or a node's name is not odd."""
    fleet = NODE + POOL + '[[node_record]]\nname = "{id}.nodes.example.org"\n'
    zone = "$TTL 60\n@ SOA n1.nodes h 1 2 3 4 5\n@ NS n1.nodes\n@ MX 1 edge\n"
    assert load(tmp_path, GOOD_START + fleet, zone=zone).warnings[1:] == ()


def test_odd_pools_are_warned_of(tmp_path: Path) -> None:
    """A pool without configured nodes, and a floor beyond its nodes, serve and are named."""
    empty = '[[pool]]\nname = "i.example.org."\nrole = "ingest"\n'
    warnings = load(tmp_path, GOOD_START + NODE + POOL + "floor = 2\n" + empty).warnings[1:]
    prefix = str(tmp_path / "config.toml")
    assert warnings[0].startswith(f"{prefix}:12: pool[0].floor: ")
    assert warnings[0].endswith("[floor-out-of-reach]")
    assert warnings[1].startswith(f"{prefix}:13: pool[1]: ")
    assert warnings[1].endswith("[pool-without-nodes]")
    assert len(warnings) == 2


def test_a_selector_on_a_label_that_no_node_has_is_warned_of(tmp_path: Path) -> None:
    """A slip in a label's key is named with the key that is near; without configured nodes nothing is known."""
    node = NODE + 'region = "eu"\nlabels = { tier = "gold" }\n'
    match = 'match = { regoin = "eu", labels = { teir = "gold", tier = "gold" } }\n'
    found = [
        warning for warning in load(tmp_path, GOOD_START + node + POOL + match).warnings if "[unknown-label]" in warning
    ]
    assert [warning.removeprefix(str(tmp_path / "config.toml")) for warning in found] == [
        ':14: pool[0].match.labels.teir: no configured node has a label "teir"; did you mean "tier"? [unknown-label]',
        ':14: pool[0].match.regoin: no configured node has a label "regoin"; did you mean "region"? [unknown-label]',
    ]
    assert not any("unknown-label" in warning for warning in load(tmp_path, GOOD_START + POOL + match).warnings)


def test_oddities_of_a_zone_are_among_the_warnings(tmp_path: Path) -> None:
    """What is odd in a zone's file is said with its place when the configuration is loaded."""
    zone = ZONE + "dup 300 A 192.0.2.1\ndup 60 A 192.0.2.2\n"
    found = [warning for warning in load(tmp_path, GOOD_START, zone=zone).warnings if "ttl-differs" in warning]
    assert [warning.partition(": the TTL")[0] for warning in found] == [f"{tmp_path / 'zone'}:10: dup.example.org."]


def test_dnsd_check_shows_warnings(tmp_path: Path) -> None:
    """The command that checks a configuration says what is odd and still ends well."""
    write(tmp_path, GOOD_START, zone=ZONE + "dup 300 A 192.0.2.1\ndup 60 A 192.0.2.2\n")
    result = CliRunner().invoke(cli, ["check", "--config", str(tmp_path / "config.toml")])
    assert result.exit_code == 0
    assert f"warning: {tmp_path / 'zone'}:10: dup.example.org.: the TTL differs" in result.stderr


def test_what_a_reload_cannot_change_is_named(tmp_path: Path) -> None:
    """Of two settings, the keys are named that only a restart can change, and no others."""
    old = load(tmp_path, GOOD_START)
    new = load(
        tmp_path,
        GOOD_START
        + '[server]\nid = "x"\nlisten = ["127.0.0.1:5301"]\nworkers = 77\n[admin]\nlisten = "127.0.0.1:1"\n'
        + '[tcp]\nidle = "5s"\n[https]\npath = "/q"\n[proxy]\nfrom = ["192.0.2.1"]\n'
        + '[store]\nurl = "sqlite:///x"\nprefix = "y"\nstate_file = "z"\n[drain]\ndefault_expiry = "1h"\n'
        + POOL,
    )
    assert needs_restart(old, old) == ()
    assert needs_restart(old, load(tmp_path, GOOD_START + POOL)) == ()
    assert needs_restart(old, new) == (
        "server.id",
        "server.listen",
        "server.workers",
        "tcp",
        "https.path",
        "proxy",
        "admin.listen",
        "store.url",
        "store.prefix",
        "store.state_file",
    )
