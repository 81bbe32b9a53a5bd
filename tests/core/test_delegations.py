"""What lies at and below zone cuts: referrals, glue, and DS on the parent's side."""

from __future__ import annotations

import pytest

from tests.support.dnsmessages import ask, block, engine_of, shown, zone_of

ZONE = zone_of(
    """
    @              NS   ns1
    ns1            A    192.0.2.53
    sub            NS   ns.sub
    sub            NS   ns.sibling
    sub            NS   ns1
    sub            NS   ns.elsewhere.example.
    sub            DS   1 13 2 abababababababababababababababababababababababababababababababab
    ns.sub         A    192.0.2.10
    ns.sub         AAAA 2001:db8::10
    deep.in.sub    A    192.0.2.11
    sibling        NS   ns.sibling
    ns.sibling     A    192.0.2.20
    under.a.sub    NS   ns.under.a.sub
    ns.under.a.sub A    192.0.2.30
    self           NS   self
    self           A    192.0.2.40
    pooled         NS   edge
    unsigned       NS   ns1
    """
)
SOA = "example.org. 60 SOA ns1.example.org. hostmaster.example.org. 1 7200 900 1209600 60"
REFERRAL = """
    NOERROR
    authority:
      sub.example.org. 300 NS ns.sub.example.org.
      sub.example.org. 300 NS ns.sibling.example.org.
      sub.example.org. 300 NS ns1.example.org.
      sub.example.org. 300 NS ns.elsewhere.example.
    additional:
      ns.sub.example.org. 300 A 192.0.2.10
      ns.sub.example.org. 300 AAAA 2001:db8::10
      ns.sibling.example.org. 300 A 192.0.2.20
      ns1.example.org. 300 A 192.0.2.53
    """
SELF = """
    NOERROR
    authority:
      self.example.org. 300 NS self.example.org.
    additional:
      self.example.org. 300 A 192.0.2.40
    """

CASES = {
    "the cut itself": ("sub.example.org. A", REFERRAL),
    "the cut's NS are not ours to vouch for": ("sub.example.org. NS", REFERRAL),
    "ANY at the cut": ("sub.example.org. ANY", REFERRAL),
    "a name below the cut": ("www.sub.example.org. A", REFERRAL),
    "glue asked for": ("ns.sub.example.org. A", REFERRAL),
    "an occluded name": ("deep.in.sub.example.org. A", REFERRAL),
    "an occluded empty non-terminal": ("in.sub.example.org. A", REFERRAL),
    "a cut below a cut does not count": ("under.a.sub.example.org. A", REFERRAL),
    "DS below the cut": ("www.sub.example.org. DS", REFERRAL),
    "DS of an occluded cut": ("under.a.sub.example.org. DS", REFERRAL),
    "a name server at the cut is in-domain glue": ("self.example.org. A", SELF),
    "a name server of the fleet": (
        "pooled.example.org. A",
        """
        NOERROR
        authority:
          pooled.example.org. 300 NS edge.example.org.
        additional:
          edge.example.org. 30 A 192.0.2.77
        """,
    ),
    "DS at the cut": (
        "sub.example.org. DS",
        """
        NOERROR aa
        answer:
          sub.example.org. 300 DS 1 13 2 abababababababababababababababababababababababababababababababab
        """,
    ),
    "no DS at the cut": ("unsigned.example.org. DS", f"NOERROR aa\nauthority:\n  {SOA}"),
}


@pytest.mark.parametrize(("question", "expected"), CASES.values(), ids=CASES)
def test_delegation_in_presentation_format(question: str, expected: str) -> None:
    """Each question at or below a cut gets exactly the sections and flags of its case."""
    engine = engine_of(ZONE, overlay={"edge.example.org.": ["192.0.2.77"]})
    assert block(expected) == shown(ask(engine, question))


CHILD = zone_of("@ NS ns\nns A 192.0.2.111", apex="sub.example.org.")


def test_ds_where_both_sides_are_ours_comes_from_the_parent() -> None:
    """The parent's side of a cut answers DS, and the child everything else (RFC 4035 §3.1.4.1)."""
    engine = engine_of(ZONE, CHILD, overlay={"sub.example.org.": ["192.0.2.5"]})
    assert shown(ask(engine, "sub.example.org. DS")) == block(CASES["DS at the cut"][1])
    assert shown(ask(engine, "sub.example.org. A")) == "NOERROR aa\nanswer:\n  sub.example.org. 30 A 192.0.2.5"
    assert shown(ask(engine, "sub.example.org. NS")) == block(
        """
        NOERROR aa
        answer:
          sub.example.org. 300 NS ns.sub.example.org.
        additional:
          ns.sub.example.org. 300 A 192.0.2.111
        """
    )


def test_ds_where_the_parent_knows_no_cut_is_nodata_of_the_child() -> None:
    """A zone of ours that its parent, also ours, does not delegate is never denied by the parent."""
    engine = engine_of(zone_of("ns1 A 192.0.2.53"), CHILD)
    assert shown(ask(engine, "sub.example.org. DS")) == block(
        """
        NOERROR aa
        authority:
          sub.example.org. 60 SOA ns1.sub.example.org. hostmaster.sub.example.org. 1 7200 900 1209600 60
        """
    )


def test_ds_of_a_cut_hidden_by_another_cut_comes_from_the_child() -> None:
    """Where the parent's view of the name is occluded, the zone above the child is not ours."""
    child = zone_of("@ NS ns", apex="under.a.sub.example.org.")
    response = ask(engine_of(ZONE, child), "under.a.sub.example.org. DS")
    assert shown(response).startswith("NOERROR aa\nauthority:\n  under.a.sub.example.org. 60 SOA")


def test_sibling_glue_from_a_zone_of_ours_is_that_zones_own() -> None:
    """A name server in another zone of ours has the addresses that this zone says, not the parent's glue."""
    sibling = zone_of("@ NS ns\nns A 192.0.2.222", apex="sibling.example.org.")
    response = shown(ask(engine_of(ZONE, sibling), "sub.example.org. A"))
    assert "ns.sibling.example.org. 300 A 192.0.2.222" in response
    assert "192.0.2.20" not in response.split()
