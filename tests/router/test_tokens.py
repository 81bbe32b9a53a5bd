"""Session tokens: believed when ours, unchanged and recent, and in no other case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.router.tokens import CLOCK_SKEW_SECONDS, BadToken, ExpiredToken, Session, Signer

NOW = 1_800_000_000
OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
SESSION = Session(node="edge-1", role="edge", id="abc", kind="play", issued_at=NOW)

SIGNER = Signer([OLD], lifetime_seconds=3600)
TOKEN = SIGNER.sign(SESSION)


def test_a_token_says_what_was_signed() -> None:
    """Until its lifetime is over."""
    assert SIGNER.read(TOKEN, now=NOW) == SESSION
    assert SIGNER.read(TOKEN, now=NOW + 3600) == SESSION
    with pytest.raises(ExpiredToken):
        SIGNER.read(TOKEN, now=NOW + 3601)


@given(st.integers(0, len(TOKEN) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_token_with_any_character_changed_is_not_believed(place: int, character: str) -> None:
    """Also in the last one, of which base64 does not use every bit."""
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    if changed != TOKEN:
        with pytest.raises(BadToken):
            SIGNER.read(changed, now=NOW)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever a client sends is a bad token."""
    with pytest.raises(BadToken):
        SIGNER.read(text, now=NOW)


def test_secrets_are_rotated_without_losing_a_session() -> None:
    """A new one signs, the old one is believed until it is taken away."""
    both = Signer([NEW, OLD], lifetime_seconds=3600)
    assert both.read(TOKEN, now=NOW) == SESSION
    renewed = both.sign(SESSION)
    after = Signer([NEW], lifetime_seconds=3600)
    assert after.read(renewed, now=NOW) == SESSION
    with pytest.raises(BadToken):
        after.read(TOKEN, now=NOW)
    with pytest.raises(BadToken):
        Signer([OTHER], lifetime_seconds=3600).read(TOKEN, now=NOW)


def test_a_token_from_the_future_is_not_believed() -> None:
    """But for what clocks of routers differ."""
    assert SIGNER.read(TOKEN, now=NOW - CLOCK_SKEW_SECONDS) == SESSION
    with pytest.raises(BadToken):
        SIGNER.read(TOKEN, now=NOW - CLOCK_SKEW_SECONDS - 1)


def test_a_short_secret_is_refused() -> None:
    """It could be guessed."""
    with pytest.raises(ValueError, match="32 bytes"):
        Signer([b"secret"], lifetime_seconds=1)
