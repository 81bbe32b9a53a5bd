"""What dnsperf prints is read as it is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.dnsperf import UnreadableError, command, percentile, read_counts, read_latencies

PRINTED = """\
[Status] Sending queries (to 127.0.0.1:15599)
> NOERROR edge.example.org A 0.000159
> NXDOMAIN missing.example.org A 0.000087
> T late.example.org A
> I last.example.org A
[Status] Testing complete (time limit)

Statistics:

  Queries sent:         12
  Queries completed:    10 (83.33%)
  Queries lost:         2 (16.67%)

  Response codes:       NOERROR 7 (70.00%), NXDOMAIN 3 (30.00%)
  Average packet size:  request 40, response 153
  Run time (s):         1.000252
  Queries per second:   9.997481
"""


def test_counts_are_those_of_the_statistics() -> None:
    """Completed and lost queries, the rate, the size of responses and their codes are read."""
    counted = read_counts(PRINTED)
    assert (counted.completed, counted.lost, counted.response_bytes) == (10, 2, 153)
    assert counted.per_second == 9.997481
    assert counted.codes == {"NOERROR": 7, "NXDOMAIN": 3}


def test_another_program_is_not_believed() -> None:
    """Text without statistics is an error that shows it."""
    with pytest.raises(UnreadableError, match="no such thing"):
        read_counts("no such thing")


def test_latencies_are_those_of_answered_queries_in_order() -> None:
    """Queries without an answer have no latency."""
    assert read_latencies(PRINTED.splitlines()) == [0.000087, 0.000159]


def test_a_percentile_is_one_of_the_values() -> None:
    """The share 1 is the largest value, and 0.5 the middle one."""
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert [percentile(values, share) for share in (0, 0.5, 0.99, 1)] == [1.0, 3.0, 5.0, 5.0]


def test_a_load_is_as_fast_as_it_goes_unless_it_has_a_rate() -> None:
    """The rate and the verbose output are asked for only where they are wanted."""
    questions = Path("questions")
    assert "-Q" not in command(53, questions, seconds=5)
    assert command(53, questions, seconds=5, rate=10, verbose=True)[-3:] == ["-Q", "10", "-v"]
