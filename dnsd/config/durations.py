"""Durations of the configuration."""

from __future__ import annotations

from dnsd.config.findings import Findings
from dnsd.config.locator import Path
from dnsd.model.times import format_duration, parse_duration

# A drain that expires later than this was meant to be indefinite. Unit: seconds (366 days).
MAX_SECONDS = 366 * 86400.0


def check_duration(
    text: str, path: Path, findings: Findings, *, least_seconds: float, most_seconds: float = MAX_SECONDS
) -> float:
    """Return a duration in seconds; what is wrong with it goes to the findings.

    Args:
        text: as `30s`, `5m`, `2h` or `1d`.
        least_seconds, most_seconds: the shortest and the longest that make sense.
    """
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        findings.problem(path, "bad-duration", message=str(error))
        return least_seconds
    if not least_seconds <= seconds <= most_seconds:
        span = f"{format_duration(least_seconds)} to {format_duration(most_seconds)}"
        findings.problem(path, "bad-duration", message=f"{text!r} is out of range: {span}")
    return seconds
