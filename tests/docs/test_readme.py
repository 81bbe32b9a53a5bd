"""What the README shows, run."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from dnsd.config.loading import load_settings
from tests.docs.example import ROOT, example
from tests.docs.sessions import check_session, same_output, session_of

README = ROOT / "README.md"


def test_the_sessions_of_the_documents_are_true(tmp_path: Path) -> None:
    """Each command of the README, copied line by line after `make run`, prints what the README says."""
    assert len(session_of(README)) >= 10
    with example(tmp_path) as server:
        check_session(README, server.shell)


def test_run_example_says_what_to_try_and_becomes_the_server(tmp_path: Path) -> None:
    """The hint of `make run` names the right addresses, its commands work, and SIGTERM ends the server."""
    with example(tmp_path) as server:
        hint = server.said()
        assert server.url + "/" in hint
        commands = [line.strip() for line in hint.splitlines() if line.startswith("  ")]
        assert [command.split()[0] for command in commands] == [
            "dig",
            *[".venv/bin/dnsd", "dig", "dig"],
            *[".venv/bin/dnsd"] * 2,
        ]
        printed = [server.shell(command) for command in commands]
        assert set(printed[0].split()) == {"192.0.2.11", "192.0.2.12"}
        assert printed[2].split() == ["192.0.2.12"]
        assert printed[3].split() == ["192.0.2.11"]
        assert printed[4].startswith("edge-1: not safe to stop")
        assert server.stop() == 0


def test_the_small_configuration_is_a_whole_one(tmp_path: Path) -> None:
    """The README's configuration passes every check with a zone file beside it."""
    text = README.read_text().partition("```toml\n")[2].partition("```")[0]
    assert tomllib.loads(text)["version"] == 1
    (tmp_path / "config.toml").write_text(text)
    (tmp_path / "example.org.zone").write_text("@ 3600 SOA ns1 root 1 2 3 4 5\n@ 3600 NS ns1\nns1 3600 A 192.0.2.53\n")
    settings = load_settings(tmp_path / "config.toml")
    assert [pool.owner for pool in settings.pools] == ["edge.example.org."]
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("192.0.2.1\n192.0.2.2\n", "192.0.2.2\n192.0.2.1\n", True),
        ("192.0.2.1\n", "192.0.2.2\n", False),
        ("until 2026-11-23T19:05:02Z", "until 2027-01-01T00:00:00Z", True),
        ("withdrawn 1s ago (15:05:02Z)", "withdrawn now (15:05:02Z)", True),
        ("serving 4 → 3", "serving 4 → 2", False),
        ('{"a":1,…', '{"a":1,"b":2}', True),
        ('{"a":1,…', '{"a":2,"b":2}', False),
    ],
)
def test_outputs_are_compared_but_for_what_differs_from_run_to_run(expected: str, actual: str, same: bool) -> None:
    """Times, lags and rotations are masked, and nothing else is."""
    assert same_output(expected, actual) is same
