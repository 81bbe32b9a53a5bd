"""Odd and broken queries: dnsd answers them as most of Knot, NSD and BIND do, or the table says why not."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.differential.asking import ask
from tests.differential.judging import MAJORITY
from tests.differential.packets import PACKETS, outcome_of

pytestmark = pytest.mark.xdist_group("peers")

Outcomes = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def outcomes(ports: dict[str, int]) -> Outcomes:
    """What each server does with each packet; sent once, as silence is an outcome too, and to dnsd once more."""
    packets = [odd.packet for odd in PACKETS.values()]

    def found(port: int) -> dict[str, str]:
        return dict(zip(PACKETS, map(outcome_of, ask(port, packets, tcp=False, tries=1)), strict=True))

    by_server = {name: found(port) for name, port in ports.items()}
    assert found(ports["dnsd"]) == by_server["dnsd"]
    return by_server


@pytest.mark.parametrize("name", PACKETS)
def test_an_odd_packet_is_answered_as_most_do(outcomes: Outcomes, name: str) -> None:
    """RCODE, flags and OPT are those of the table, and those of the majority where the table gives no reason."""
    odd = PACKETS[name]
    found = {server: by_packet[name] for server, by_packet in outcomes.items()}
    assert found.pop("dnsd") == odd.outcome, found
    most, count = Counter(found.values()).most_common(1)[0]
    if not odd.why:
        assert (count >= MAJORITY, most) == (True, odd.outcome), found
