"""`dnsd agent` on the command line, without a server: its configuration, and what it says where no agent runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dnsd.cli.main import cli

GOOD = '[agent]\nnode = "edge-1"\nservers = ["http://127.0.0.1:1"]\nsocket = "agent.sock"\nstate_file = "state"\n'


def run(*words: str) -> Result:
    """Run `dnsd agent` with words."""
    return CliRunner().invoke(cli, ["agent", *words])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that is good."""
    file = tmp_path / "agent.toml"
    file.write_text(f"version = 1\n{GOOD}")
    return file


def test_without_a_configuration_it_is_misused() -> None:
    """Exit status 2, and the option that is missing."""
    done = run()
    assert (done.exit_code, "--config" in done.stderr) == (2, True)


@pytest.mark.parametrize("words", [[], ["check"], ["status"], ["drain", "--reason", "x"], ["undrain"]])
def test_a_faulty_configuration_is_told_by_every_command(words: list[str], config: Path) -> None:
    """Exit status 2, a line for each problem, and the document of `check` with --json."""
    config.write_text(f"version = 1\nnod = 1\n{GOOD}interval = 5\n")
    done = run(*words, "--config", str(config), "--json")
    assert done.exit_code == 2
    assert [each["id"] for each in json.loads(done.stdout)["problems"]] == ["unknown-key", "wrong-type"]
    assert len(done.stderr.splitlines()) == 2


def test_a_good_configuration_is_said_to_be(config: Path) -> None:
    """Exit status 0, by either place of the option."""
    assert run("check", "--config", str(config)).exit_code == 0
    assert run("--config", str(config), "check").exit_code == 0


@pytest.mark.parametrize("words", [["status"], ["drain", "--reason", "x"], ["undrain"]])
def test_where_no_agent_runs_a_command_fails(words: list[str], config: Path) -> None:
    """Exit status 1, and one line that names the socket."""
    done = run(*words, "--config", str(config))
    assert done.exit_code == 1
    assert done.stderr == f"dnsd: no agent answers at {config.parent / 'agent.sock'}: No such file or directory\n"
