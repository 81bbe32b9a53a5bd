"""Instants and durations as people and JSON write them.

Inside dnsd an instant is a float: seconds since the Unix epoch, UTC, kept to the millisecond. Nothing here reads
a clock.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

# The first of the year 1, and that of the year 10000. Unit: instants.
FIRST_INSTANT, END_OF_INSTANTS = -62_135_596_800, 253_402_300_800
_TO_THE_SECOND = len("2026-01-31T12:00:00")

SECONDS_OF_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,9})?(?:ms|s|m|h|d|w)){1,6}")

# RFC 3339 §5.6; the standard library's reader takes other forms of ISO 8601 as well.
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)


def parse_duration(text: str) -> float:
    """Read a duration such as `30s`, `5m`, `2h`, `1d` or `1h30m`.

    Returns:
        Seconds, 0 or more.

    Raises:
        ValueError: the text is not a duration; the message quotes it.
    """
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m, 2h or 1d")
    return sum(float(number) * SECONDS_OF_UNIT[unit] for number, unit in _PART.findall(text))


def format_duration(seconds: float) -> str:
    """Write a duration in its two largest units, as `3h59m`, `45s` or `0s`; for people, so it rounds."""
    rest = round(seconds)
    sign = "-" if rest < 0 else ""
    rest = abs(rest)
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, int(SECONDS_OF_UNIT[unit]))
        if count:
            parts.append(f"{count}{unit}")
        if len(parts) == 2:
            break
    return sign + ("".join(parts) or "0s")


def format_instant(instant: float) -> str:
    """Write an instant as RFC 3339 in UTC with milliseconds, as `2026-01-31T12:00:00.250Z`."""
    seconds, milliseconds = divmod(round(instant * 1000), 1000)
    # A third of the time of strftime, and every report and drain has several.
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:_TO_THE_SECOND]}.{milliseconds:03d}Z"


def can_be_written(instant: float) -> bool:
    """Say whether an instant is within the years 1 to 9999, which RFC 3339 has."""
    return FIRST_INSTANT <= to_milliseconds(instant) < END_OF_INSTANTS


def parse_instant(text: str) -> float:
    """Read an RFC 3339 instant; it must name its offset from UTC.

    Returns:
        Seconds since the epoch, rounded to the millisecond.

    Raises:
        ValueError: not RFC 3339, or no offset.
    """
    try:
        if not _INSTANT.fullmatch(text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError(f"{text!r} is not an RFC 3339 time such as 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no offset from UTC; write 2026-01-31T12:00:00Z")
    return to_milliseconds(moment.timestamp())


def to_milliseconds(instant: float) -> float:
    """Round an instant to what JSON can carry, so that writing and reading it back changes nothing."""
    return round(instant, 3)
