"""Instants and durations as text: what is read, what is written, and that the two agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.model.times import format_duration, format_instant, parse_duration, parse_instant, to_milliseconds
from tests.model.strategies import instants


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("2w", 1_209_600),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1m500ms", 60.5),
        ("30m1h", 5400),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    """Numbers with a unit each are added up, in whatever order they stand."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "m", "-5m", "+5m", "5 m", "5M", "5y", " 5m", "5m ", "5m\n", "1e3s", ".5h", "5.h"]
)
def test_what_is_no_duration_is_quoted(text: str) -> None:
    """A number without unit, a sign, a space or an unknown unit is refused, and the message quotes the text."""
    with pytest.raises(ValueError, match="is not a duration") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.4, "0s"),
        (45, "45s"),
        (59.6, "1m"),
        (60, "1m"),
        (61, "1m1s"),
        (14_399, "3h59m"),
        (3600, "1h"),
        (3601, "1h1s"),
        (86_400 + 7200 + 300, "1d2h"),
        (30 * 86_400, "30d"),
        (-90, "-1m30s"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(seconds: float, text: str) -> None:
    """For people: the two largest units that are not zero, and no more."""
    assert format_duration(seconds) == text


@given(st.integers(0, 10**9))
def test_a_written_duration_is_near_what_it_was(seconds: int) -> None:
    """What is written can be read back, never says more than there is, and leaves out less than its last unit."""
    written = format_duration(seconds)
    read = parse_duration(written)
    last_unit = {"s": 1, "m": 60, "h": 3600, "d": 86_400}[written[-1]]
    assert seconds - last_unit < read <= seconds


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_769_860_800.25, "2026-01-31T12:00:00.250Z"),
        (1_769_860_800.001, "2026-01-31T12:00:00.001Z"),
        (951_782_400.0, "2000-02-29T00:00:00.000Z"),
    ],
)
def test_an_instant_is_written_in_utc(instant: float, text: str) -> None:
    """An instant is RFC 3339 in UTC with milliseconds, and reads back as it was."""
    assert format_instant(instant) == text
    assert parse_instant(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.000000Z",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31T06:30:00-05:30",
        "2026-01-31 12:00:00Z",
    ],
)
def test_one_instant_has_several_spellings(text: str) -> None:
    """An offset from UTC is taken into account; a fraction and a space for the T are allowed (RFC 3339 §5.6)."""
    assert parse_instant(text) == 1_769_860_800.0


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00", "2026-01-31", "2026-01-31T12:00:00.5"])
def test_an_instant_without_offset_is_refused(text: str) -> None:
    """Local time of an unknown place is no instant."""
    with pytest.raises(ValueError, match="names no offset from UTC"):
        parse_instant(text)


@pytest.mark.parametrize("text", ["", "now", "12:00", "1769860800", "2026-02-30T12:00:00Z", "2026-01-31T25:00:00Z"])
def test_what_is_no_instant_is_quoted(text: str) -> None:
    """Text that is no date, or a date that does not exist, is refused, and the message quotes it."""
    with pytest.raises(ValueError, match="is not an RFC 3339 time") as caught:
        parse_instant(text)
    assert repr(text) in str(caught.value)


@given(instants)
def test_an_instant_survives_json(instant: float) -> None:
    """Writing an instant and reading it back changes nothing, up to the year 2200."""
    assert parse_instant(format_instant(instant)) == instant


@given(st.floats(0, 4e9))
def test_rounding_to_milliseconds_is_what_json_keeps(instant: float) -> None:
    """Once rounded, an instant is near what it was, and stays the same through JSON however often."""
    rounded = to_milliseconds(instant)
    assert abs(rounded - instant) <= 0.0005 + 1e-6
    assert parse_instant(format_instant(rounded)) == rounded == to_milliseconds(rounded)
