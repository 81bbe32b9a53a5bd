"""What CNAME and DNAME records lead to: chains within and across zones, loops, overflow, and ends of every kind."""

from __future__ import annotations

import pytest

from dnsd.core.limits import MAX_ALIASES
from dnsd.core.via import TCP
from tests.support.dnsmessages import ask, block, engine_of, shown, zone_of

LONG = ".".join(["l" * 63] * 3)

ZONE = zone_of(
    f"""
    host         A      192.0.2.1
    one          CNAME  two
    two          120 CNAME three
    three        CNAME  host
    across       CNAME  there.example.net.
    away         CNAME  www.example.com.
    dangling     CNAME  nothing
    no-type      CNAME  text
    text         TXT    "t"
    into-cut     CNAME  www.sub
    sub          NS     ns.sub
    ns.sub       A      192.0.2.53
    loop-a       CNAME  loop-b
    loop-b       CNAME  loop-a
    self         CNAME  self
    tree         900 DNAME other
    host.other   A      192.0.2.2
    via          CNAME  host.tree
    tree         TXT    "beside"
    far          DNAME  example.com.
    twice        DNAME  tree
    spin         DNAME  x.spin
    wide         DNAME  {LONG}
    empty-pool   CNAME  pool
    """
)
OTHER = zone_of(
    "@ 600 SOA ns hostmaster 2 1 1 1 30\nthere CNAME host.example.org.\nhost A 192.0.2.9", apex="example.net."
)
SOA = "example.org. 60 SOA ns1.example.org. hostmaster.example.org. 1 7200 900 1209600 60"

CASES = {
    "a chain within a zone": (
        "one.example.org. A",
        """
        NOERROR aa
        answer:
          one.example.org. 300 CNAME two.example.org.
          two.example.org. 120 CNAME three.example.org.
          three.example.org. 300 CNAME host.example.org.
          host.example.org. 300 A 192.0.2.1
        """,
    ),
    "the CNAME itself is not followed": (
        "one.example.org. CNAME",
        """
        NOERROR aa
        answer:
          one.example.org. 300 CNAME two.example.org.
        """,
    ),
    "ANY is not followed": (
        "one.example.org. ANY",
        """
        NOERROR aa
        answer:
          one.example.org. 300 CNAME two.example.org.
        """,
    ),
    "a chain across zones of ours": (
        "across.example.org. A",
        """
        NOERROR aa
        answer:
          across.example.org. 300 CNAME there.example.net.
          there.example.net. 300 CNAME host.example.org.
          host.example.org. 300 A 192.0.2.1
        """,
    ),
    "a chain that leaves our zones": (
        "away.example.org. A",
        """
        NOERROR aa
        answer:
          away.example.org. 300 CNAME www.example.com.
        """,
    ),
    "a chain to a name that does not exist is NXDOMAIN (RFC 6604)": (
        "dangling.example.org. A",
        f"""
        NXDOMAIN aa
        answer:
          dangling.example.org. 300 CNAME nothing.example.org.
        authority:
          {SOA}
        """,
    ),
    "a chain to a name without the type is NODATA": (
        "no-type.example.org. A",
        f"""
        NOERROR aa
        answer:
          no-type.example.org. 300 CNAME text.example.org.
        authority:
          {SOA}
        """,
    ),
    "a chain into a delegation ends in its referral": (
        "into-cut.example.org. A",
        """
        NOERROR aa
        answer:
          into-cut.example.org. 300 CNAME www.sub.example.org.
        authority:
          sub.example.org. 300 NS ns.sub.example.org.
        additional:
          ns.sub.example.org. 300 A 192.0.2.53
        """,
    ),
    "a loop is gone round once": (
        "loop-a.example.org. A",
        """
        NOERROR aa
        answer:
          loop-a.example.org. 300 CNAME loop-b.example.org.
          loop-b.example.org. 300 CNAME loop-a.example.org.
        """,
    ),
    "an alias of itself": (
        "self.example.org. A",
        """
        NOERROR aa
        answer:
          self.example.org. 300 CNAME self.example.org.
        """,
    ),
    "a DNAME with the CNAME made of it, in its TTL": (
        "host.tree.example.org. A",
        """
        NOERROR aa
        answer:
          tree.example.org. 900 DNAME other.example.org.
          host.tree.example.org. 900 CNAME host.other.example.org.
          host.other.example.org. 300 A 192.0.2.2
        """,
    ),
    "a DNAME does not redirect its owner": (
        "tree.example.org. TXT",
        """
        NOERROR aa
        answer:
          tree.example.org. 300 TXT "beside"
        """,
    ),
    "a DNAME asked for": (
        "tree.example.org. DNAME",
        """
        NOERROR aa
        answer:
          tree.example.org. 900 DNAME other.example.org.
        """,
    ),
    "a DNAME's owner without the type": ("tree.example.org. A", f"NOERROR aa\nauthority:\n  {SOA}"),
    "the CNAME made of a DNAME answers a question for CNAME": (
        "nothing.tree.example.org. CNAME",
        """
        NOERROR aa
        answer:
          tree.example.org. 900 DNAME other.example.org.
          nothing.tree.example.org. 900 CNAME nothing.other.example.org.
        """,
    ),
    "a DNAME to a name that does not exist": (
        "nothing.tree.example.org. A",
        f"""
        NXDOMAIN aa
        answer:
          tree.example.org. 900 DNAME other.example.org.
          nothing.tree.example.org. 900 CNAME nothing.other.example.org.
        authority:
          {SOA}
        """,
    ),
    "ANY goes on behind a DNAME (RFC 6672 §3.2)": (
        "nothing.tree.example.org. ANY",
        f"""
        NXDOMAIN aa
        answer:
          tree.example.org. 900 DNAME other.example.org.
          nothing.tree.example.org. 900 CNAME nothing.other.example.org.
        authority:
          {SOA}
        """,
    ),
    "a CNAME into a DNAME": (
        "via.example.org. A",
        """
        NOERROR aa
        answer:
          via.example.org. 300 CNAME host.tree.example.org.
          tree.example.org. 900 DNAME other.example.org.
          host.tree.example.org. 900 CNAME host.other.example.org.
          host.other.example.org. 300 A 192.0.2.2
        """,
    ),
    "a DNAME that leads to a DNAME": (
        "host.twice.example.org. A",
        """
        NOERROR aa
        answer:
          twice.example.org. 300 DNAME tree.example.org.
          host.twice.example.org. 300 CNAME host.tree.example.org.
          tree.example.org. 900 DNAME other.example.org.
          host.tree.example.org. 900 CNAME host.other.example.org.
          host.other.example.org. 300 A 192.0.2.2
        """,
    ),
    "a DNAME that leaves our zones": (
        "a.b.far.example.org. A",
        """
        NOERROR aa
        answer:
          far.example.org. 300 DNAME example.com.
          a.b.far.example.org. 300 CNAME a.b.example.com.
        """,
    ),
    "an alias of an empty pool that fails": ("empty-pool.example.org. A", "SERVFAIL"),
}


@pytest.mark.parametrize(("question", "expected"), CASES.values(), ids=CASES)
def test_alias_in_presentation_format(question: str, expected: str) -> None:
    """Each question gets exactly the chain and the end of its case."""
    engine = engine_of(ZONE, OTHER, failing=["pool.example.org."])
    assert block(expected) == shown(ask(engine, question))


def test_name_that_a_dname_makes_too_long_is_yxdomain() -> None:
    """Where the new name has more than 255 bytes, the DNAME is answered with YXDOMAIN (RFC 6672 §3.2)."""
    response = shown(ask(engine_of(ZONE), f"{'q' * 63}.wide.example.org. A", edns=0))
    assert response == f"YXDOMAIN aa\nanswer:\n  wide.example.org. 300 DNAME {LONG}.example.org."


def test_endless_dname_stops_at_the_limit_with_its_record_once() -> None:
    """A DNAME below itself is followed `MAX_ALIASES` times past the question and then left to the resolver."""
    answer = ask(engine_of(ZONE), "a.spin.example.org. A", via=TCP).answer
    owners = [rrset.name.to_text() for rrset in answer]
    assert owners == ["spin.example.org.", *[f"a.{'x.' * i}spin.example.org." for i in range(MAX_ALIASES + 1)]]


def test_long_chain_is_answered_up_to_the_limit() -> None:
    """A chain longer than `MAX_ALIASES` is answered as far as it was followed, with NOERROR."""
    lines = "\n".join(f"c{i} CNAME c{i + 1}" for i in range(MAX_ALIASES * 2))
    response = ask(engine_of(zone_of(lines)), "c0.example.org. A", via=TCP)
    assert len(response.answer) == MAX_ALIASES + 1
    assert response.rcode() == 0
