"""The command line of the benchmark."""

from __future__ import annotations

import pytest

from bench.run import PARTS, arguments


def test_all_parts_run_unless_some_are_named() -> None:
    """`--only` takes names with commas between them."""
    assert arguments([]).parts == list(PARTS)
    assert arguments(["--only", "fleet,cost"]).parts == ["fleet", "cost"]


def test_a_part_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names those that there are."""
    with pytest.raises(SystemExit):
        arguments(["--only", "speed"])
    assert "no such part: speed; there are cost" in capsys.readouterr().err
