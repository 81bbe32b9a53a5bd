"""For how long a response may be kept as a whole."""

from __future__ import annotations

import pytest

from dnsd.core.lifetime import lifetime_seconds
from dnsd.core.via import TCP
from tests.support.dnsmessages import NOW, PEER, engine_of, query, zone_of

ZONE = """
@      900 SOA ns1 hostmaster 1 7200 900 1209600 60
@      300 NS ns1
ns1    300 A 192.0.2.53
two    500 A 192.0.2.1
two    500 A 192.0.2.2
alias   70 CNAME two
lost   400 CNAME nowhere
brief   20 CNAME nowhere
sub    300 NS ns.sub
ns.sub 300 A 192.0.2.54
now      0 A 192.0.2.3
mail   900 MX 10 briefly
briefly 30 A 192.0.2.4
"""


@pytest.mark.parametrize(
    ("question", "seconds"),
    [
        ("two.example.org. A", 500),
        ("alias.example.org. A", 70),
        ("now.example.org. A", 0),
        ("mail.example.org. MX", 30),
        ("two.example.org. AAAA", 60),
        ("nowhere.example.org. A", 60),
        ("lost.example.org. A", 60),
        ("brief.example.org. A", 20),
        ("a.sub.example.org. A", 0),
        ("example.com. A", 0),
        ("example.org. AXFR", 0),
    ],
)
def test_the_smallest_of_what_it_says(question: str, seconds: int) -> None:
    """The least TTL of all sections; of a negative one also the SOA's minimum; referrals and errors are not kept."""
    response = engine_of(zone_of(ZONE)).respond(query(question), now=NOW, via=TCP, peer=PEER)
    assert response is not None
    assert lifetime_seconds(response) == seconds
