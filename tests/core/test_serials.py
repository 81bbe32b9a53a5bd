"""Serials that go round (RFC 1982), and their place in an SOA."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.core.serials import SERIALS, beyond, given_by_store, is_newer, made_alone, newest, serial_of, with_serial
from tests.support.dnsmessages import zone_of

_serials = st.integers(0, SERIALS - 1)


@pytest.mark.parametrize(
    ("serial", "than", "newer"),
    [
        (1, 0, True),
        (0, 1, False),
        (5, 5, False),
        (0, SERIALS - 1, True),
        (SERIALS // 2 - 1, 0, True),
        (SERIALS // 2, 0, False),  # half the way: RFC 1982 §3.2 leaves it undefined
        (0, SERIALS // 2, False),
        (0, SERIALS // 2 + 1, True),
    ],
)
def test_what_is_newer(serial: int, than: int, newer: bool) -> None:
    """As RFC 1982 §3.2 defines it, with neither of two where it defines nothing."""
    assert is_newer(serial, than) is newer


@given(_serials, _serials)
def test_one_more_is_newer_and_of_two_one_at_most(one: int, other: int) -> None:
    """What goes beyond a serial follows it, and no two follow each other."""
    assert is_newer(beyond(one, other), one)
    assert not (is_newer(one, other) and is_newer(other, one))


@given(_serials, _serials)
def test_the_newest_is_followed_by_none(one: int, other: int) -> None:
    """Neither of the two is newer than it, and it is one of them."""
    found = newest(one, other)
    assert found in (one, other)
    assert not is_newer(one, found)
    assert not is_newer(other, found)


@given(_serials)
def test_what_a_store_gives_is_never_what_is_made_alone(serial: int) -> None:
    """Each is the serial itself or the one behind it, and of the two kinds every serial is one."""
    given, alone = given_by_store(serial), made_alone(serial)
    assert {given, alone} == {serial, (serial + 1) % SERIALS}
    assert (given % 2, alone % 2) == (0, 1)


@given(_serials)
def test_an_soa_gets_another_serial_and_nothing_else(serial: int) -> None:
    """The names before it and the four numbers behind it stay."""
    (soa,) = zone_of("@ SOA ns1 hostmaster 42 7200 900 1209600 60").soa.rdatas
    assert serial_of(soa) == 42
    changed = with_serial(soa, serial)
    assert serial_of(changed) == serial
    assert with_serial(changed, 42) == soa
