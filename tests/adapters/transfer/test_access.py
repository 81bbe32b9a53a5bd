"""Who may have which zone."""

from __future__ import annotations

import pytest

from dnsd.adapters.transfer.access import Access, judge_access
from dnsd.config.transfer import Secondary, TransferKey
from dnsd.core.names import from_text
from tests.adapters.transfer.world import key, secondary

ONE, OTHER = key("one."), key("other.", secret=b"o" * 32)
STOLEN_NAME = key("one.", secret=b"x" * 32)

BY_ADDRESS = secondary("by-address", sources=["192.0.2.0/24", "2001:db8::/32"])
BY_KEY = secondary("by-key", signs=ONE)
BY_BOTH = secondary("by-both", signs=OTHER, sources=["198.51.100.7"])
FOR_ONE_ZONE = secondary("for-one-zone", sources=["203.0.113.0/24"], zones=["example.org."])
ALL = (BY_ADDRESS, BY_KEY, BY_BOTH, FOR_ONE_ZONE)

CASES = [
    # peer, key, zone → what it may, as whom
    ("192.0.2.1", None, "example.org.", Access.GRANTED, BY_ADDRESS),
    ("2001:db8::1", None, "example.org.", Access.GRANTED, BY_ADDRESS),
    ("::ffff:192.0.2.1", None, "example.org.", Access.GRANTED, BY_ADDRESS),
    ("192.0.3.1", None, "example.org.", Access.STRANGER, None),
    ("2001:db9::1", None, "example.org.", Access.STRANGER, None),
    ("", None, "example.org.", Access.STRANGER, None),
    ("192.0.3.1", ONE, "example.org.", Access.GRANTED, BY_KEY),
    ("192.0.2.1", ONE, "example.org.", Access.GRANTED, BY_ADDRESS),
    ("192.0.3.1", STOLEN_NAME, "example.org.", Access.OTHER_KEY, None),
    ("198.51.100.7", OTHER, "example.org.", Access.GRANTED, BY_BOTH),
    ("198.51.100.8", OTHER, "example.org.", Access.OTHER_KEY, None),
    ("198.51.100.7", None, "example.org.", Access.WANTS_KEY, None),
    ("203.0.113.9", None, "example.org.", Access.GRANTED, FOR_ONE_ZONE),
    ("203.0.113.9", None, "example.net.", Access.OTHER_ZONE, None),
    ("203.0.113.9", ONE, "example.net.", Access.GRANTED, BY_KEY),
]


@pytest.mark.parametrize(("peer", "signed_with", "zone", "access", "who"), CASES)
def test_a_zone_is_for_whom_it_is_configured(
    peer: str, signed_with: TransferKey | None, zone: str, access: Access, who: Secondary | None
) -> None:
    """A secondary is known by its networks and its very key, both where it has both, and may have its zones alone."""
    assert judge_access(ALL, peer=peer, key=signed_with, apex=from_text(zone)) == (access, who)


def test_without_secondaries_nobody_has_a_zone() -> None:
    """Where nobody is configured, nobody is let in."""
    assert judge_access((), peer="127.0.0.1", key=ONE, apex=from_text("example.org.")) == (Access.OTHER_KEY, None)
