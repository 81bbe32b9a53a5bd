"""A flood from one network: it gets what it may, everybody else goes on as before, and who is real finds a way."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.flood import Seen, ask_once, asking_from
from tests.support.options import COOKIE, packet, read
from tests.support.servers import PATIENCE_SECONDS, Server, serving, wait_until

pytestmark = pytest.mark.alone

PER_SECOND = 100
FLOOD_PER_SECOND = 4_000
SECONDS = 3.0
WORKERS = 2

# Ports of the flood. The kernel spreads them over the workers by a hash: that each worker has so few of them that they
# do not fill its part of the limit has a chance of less than one in a million.
PORTS = 64

LIMIT = f"""
[rate_limit]
responses_per_second = {PER_SECOND}
window = "1s"
slip = 2
allow = []
starts_at = 200
"""

EDGE = "edge.example.org A"
QUERY = [packet(EDGE)]

FLOODED, SAME_NETWORK, OTHER_NETWORK = "127.0.1.5", "127.0.1.9", "127.0.2.5"


def limited(server: Server) -> dict[str, int]:
    """Return the metric of answers over a limit, by action."""
    found = re.findall(r'^dnsd_rate_limited_total\{action="(\w+)"\} ([\d.e+]+)', server.get("/metrics"), re.MULTILINE)
    return {action: int(float(count)) for action, count in found}


def flooded_for(seen: Seen, seconds: float) -> tuple[Seen, float]:
    """Return what a flood sees in so many seconds, its first second not counted, and how long that was at most."""
    wait_until(lambda: seen.sent > FLOOD_PER_SECOND, "the flood goes on for a second")
    began, before = time.monotonic(), seen.copy()
    wait_until(lambda: seen.seconds - before.seconds >= seconds, "it goes on")
    return seen.since(before), time.monotonic() - began


def has_its_limit(seen: Seen, answer: str, seconds: float) -> bool:
    """Say whether so many answers came as may.

    Args:
        seconds: that have passed; in those in which the machine stood still, there may have been answers or not.
    """
    return 0.8 * PER_SECOND * seen.seconds <= seen.answers[answer] <= 1.2 * PER_SECOND * seconds


def sees_all(flood: Seen) -> bool:
    """Say whether for a moment everything that is answered is answered whole."""
    before = flood.copy()
    wait_until(lambda: flood.seconds - before.seconds >= 0.2, "it goes on")
    return set(flood.since(before).answers) == {"whole"}


def test_a_flood_gets_its_limit_and_nobody_else_notices(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """One network asks 4000 times a second: it gets its limit, half of the rest truncated; others get all they ask for.

    In its own network, a client with a cookie gets all as well, and one over TCP.
    """
    with serving(tmp_path, store="memory", workers=WORKERS, more=LIMIT) as server:
        port = server.dns_port
        cookie = read(ask_once(SAME_NETWORK, port, packet(EDGE, [(COOKIE, b"12345678")]))).cookie
        proven = [packet(EDGE, [(COOKIE, cookie)])]
        with (
            asking_from(FLOODED, port, QUERY, per_second=FLOOD_PER_SECOND, ports=PORTS) as flood,
            asking_from(OTHER_NETWORK, port, QUERY, per_second=20, ports=4) as other,
            asking_from(SAME_NETWORK, port, proven, per_second=200, ports=4) as client,
        ):
            seen, seconds = flooded_for(flood, SECONDS)
            over_tcp = subprocess.run(
                ["dig", "-b", FLOODED, "@127.0.0.1", "-p", str(port), "+tcp", "+short", *EDGE.split()],
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=True,
            ).stdout
        record_property("figure", f"in {SECONDS:g} s: flood {seen}, other network {other}, with a cookie {client}")
        assert seen.sent > 0.5 * FLOOD_PER_SECOND * SECONDS
        assert has_its_limit(seen, "whole", seconds)
        over = seen.sent - seen.answers["whole"]
        assert 0.4 * over <= seen.answers["truncated"] <= 0.6 * over
        assert set(seen.answers) == {"whole", "truncated"}
        for spared in (other, client):
            assert set(spared.answers) == {"whole"}
            assert spared.sent - spared.answers["whole"] <= 2  # those that were under way at the end
        assert len(over_tcp.split()) == 3
        wait_until(lambda: limited(server).get("dropped", 0) >= 0.4 * over, "what was dropped is counted")
        assert limited(server)["slipped"] >= 0.4 * over
        said = server.said()
        assert "rate limiting has begun" in said
        assert said.count("most of them to 127.0.1.0/24") == said.count("rate limiting has begun") <= WORKERS


def test_random_names_share_the_limit_of_their_zone(tmp_path: Path) -> None:
    """A flood of names that do not exist, none of them twice, gets as many denials as the limit says."""
    names = [packet(f"random-{number}.example.org A") for number in range(30_000)]
    with (
        serving(tmp_path, store="memory", workers=WORKERS, more=LIMIT) as server,
        asking_from(FLOODED, server.dns_port, names, per_second=FLOOD_PER_SECOND, ports=PORTS) as flood,
    ):
        seen, seconds = flooded_for(flood, SECONDS)
        assert flood.sent < len(names)
    assert has_its_limit(seen, "RCODE 3", seconds)
    assert set(seen.answers) == {"RCODE 3", "truncated"}


def test_a_reload_changes_the_limit_while_a_flood_goes_on(tmp_path: Path) -> None:
    """With 0 in place of a rate, everybody gets everything from the reload on."""
    with serving(tmp_path, store="memory", workers=WORKERS, more=LIMIT) as server:
        with asking_from(FLOODED, server.dns_port, QUERY, per_second=1000, ports=PORTS) as flood:
            wait_until(lambda: flood.answers["truncated"] > 0, "the flood is limited")
            text = server.config.read_text()
            server.config.write_text(text.replace(f"responses_per_second = {PER_SECOND}", "responses_per_second = 0"))
            server.reload()
            wait_until(lambda: sees_all(flood), "what was answered before the reload is read")
            before = flood.copy()
            wait_until(lambda: flood.since(before).answers["whole"] > 500, "everything is answered")
            after = flood.since(before)
        assert set(after.answers) == {"whole"}


def test_without_a_word_on_it_the_machine_itself_has_no_limit(tmp_path: Path) -> None:
    """A server that was not configured so limits no load test on loopback."""
    with (
        serving(tmp_path, store="memory", workers=1) as server,
        asking_from("127.0.0.1", server.dns_port, QUERY, per_second=2000, ports=4) as seen,
    ):
        wait_until(lambda: seen.answers["whole"] > 2000, "everything is answered")
        assert set(seen.answers) == {"whole"}
        assert limited(server) == {}
