"""Store URLs: which are taken, where their files are, and what is said of the others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dnsd.stores.memory import MemoryStore
from dnsd.stores.opening import SCHEMES, open_store, why_not

BASE = Path("/etc/dnsd")


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("memory://", "memory"),
        ("sqlite:///var/lib/dnsd/state.db", "sqlite /var/lib/dnsd/state.db"),
        ("sqlite:///state.db", "sqlite /state.db"),
        ("sqlite://./state.db", "sqlite /etc/dnsd/state.db"),
        ("sqlite://../run/state.db", "sqlite /etc/dnsd/../run/state.db"),
        ("sqlite:///a b/%20.db", "sqlite /a b/%20.db"),
    ],
)
def test_a_url_names_its_store(url: str, label: str) -> None:
    """What follows `sqlite://` is the path as it stands; one that begins with a dot starts at the base folder."""
    assert why_not(url) is None
    assert open_store(url, prefix="dnsd", base=BASE).label == label


def test_each_memory_store_is_its_own() -> None:
    """Two stores of the URL `memory://` share nothing."""
    one, two = (open_store("memory://", prefix="dnsd", base=BASE) for _ in range(2))
    assert isinstance(one, MemoryStore)
    assert one is not two


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "one of memory://"),
        ("/var/lib/dnsd/state.db", "one of memory://"),
        ("memory:", "one of memory://"),
        ("memory://x", "nothing after it"),
        ("sqlite://", "absolute"),
        ("sqlite://state.db", "absolute"),
        ("sqlite://~/state.db", "absolute"),
        ("sqlite:///var/lib/", "is a folder"),
        ("sqlite:///var/..", "is a folder"),
        ("sqlite:///state.db?mode=ro", "no ?"),
        ("sqlite:///state\x00.db", "character"),
        ("sqlite:///state\n.db", "character"),
        ("SQLITE:///state.db", "'SQLITE' is not a kind of store"),
        ("postgres://host/db", "'postgres' is not a kind of store"),
    ],
)
def test_a_url_that_is_not_taken_is_explained(url: str, says: str) -> None:
    """The sentence says what is wrong, and opening raises the very same one."""
    reason = why_not(url)
    assert reason is not None
    assert says in reason
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        open_store(url, prefix="dnsd", base=BASE)
    assert str(caught.value) == reason


def test_a_password_is_not_repeated() -> None:
    """A URL of an unknown kind is not quoted: it may hold a password."""
    assert "hunter2" not in (why_not("mysql://dnsd:hunter2@db/drains") or "hunter2")


def test_the_schemes_are_listed() -> None:
    """Configuration checking can name the kinds of stores there are."""
    assert {"memory", "sqlite"} <= set(SCHEMES)
