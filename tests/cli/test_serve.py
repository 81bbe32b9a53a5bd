"""`dnsd serve`, `check` and `token`."""

from __future__ import annotations

import hashlib
import json
import resource
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsd import daemon
from dnsd.errors import ConfigurationError, Problem, StartError
from tests.cli.conftest import Run
from tests.support.limits import limited

ZONE = """\
$ORIGIN example.org.
@ 300 IN SOA ns1 hostmaster 1 3600 600 86400 60
@ 300 IN NS ns1
ns1 300 IN A 192.0.2.1
"""

CONFIG = """\
version = 1
store.url = "memory://"
[server]
id = "ns1"
[[zone]]
name = "example.org."
file = "example.org.zone"
[[node]]
id = "edge-1"
addresses = ["192.0.2.11"]
roles = ["edge"]
[[pool]]
name = "edge.example.org."
role = "edge"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "example.org.zone").write_text(ZONE)
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def test_a_good_configuration_is_summed_up(run: Run, config: Path) -> None:
    """A configuration that would serve is counted, and exits with 0."""
    result = run("check", "--config", str(config))
    assert (result.exit_code, result.stdout) == (0, f"{config}: ok; 1 zone, 3 records, 1 node, 1 pool\n")
    document = json.loads(run("check", "--json", "--config", str(config)).stdout)
    assert document == {"ok": True, "problems": [], "warnings": []}


def test_a_check_may_open_as_much_as_the_server(run: Run, config: Path) -> None:
    """A low limit on open files is raised as far as it goes: large zones that can be served are not complained of."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with limited(resource.RLIMIT_NOFILE, min(256, hard)):
        assert run("check", "--config", str(config)).exit_code == 0
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_every_problem_is_a_line_with_its_place_and_id(run: Run, config: Path) -> None:
    """All problems are told at once, with file, line, place and id; --json has the same ones in order."""
    config.write_text(CONFIG.replace('role = "edge"', 'role = "egde"') + "colour = 3\n")
    result = run("check", "--config", str(config))
    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.partition(": ")[0] for line in result.stderr.splitlines()] == [f"{config}:14", f"{config}:15"]
    assert result.stderr.splitlines()[1].endswith("[unknown-key]")
    in_json = run("check", "--config", str(config), "--json")
    document = json.loads(in_json.stdout)
    assert (in_json.exit_code, document["ok"], document["warnings"]) == (2, False, [])
    assert [str(Problem(**problem)) for problem in document["problems"]] == result.stderr.splitlines()


def test_a_file_that_is_not_there_is_a_problem_of_configuration(run: Run, tmp_path: Path) -> None:
    """A missing file exits with 2 and names the file."""
    result = run("check", "--config", str(tmp_path / "no.toml"))
    assert result.exit_code == 2
    assert str(tmp_path / "no.toml") in result.stderr


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_configuration_must_be_named(run: Run, command: str) -> None:
    """Without --config the command says so and exits with 2."""
    result = run(command)
    assert result.exit_code == 2
    assert "--config" in result.stderr


def _raising(error: Exception) -> Callable[[Path], int]:
    def serve(_: Path) -> int:
        raise error

    return serve


def test_the_exit_status_of_the_server_is_handed_on(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dnsd serve` starts the server with the named file and ends with its status."""
    started: list[Path] = []

    def serve(path: Path) -> int:
        started.append(path)
        return 7

    monkeypatch.setattr(daemon, "serve", serve)
    assert run("serve", "--config", str(config)).exit_code == 7
    assert started == [config]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigurationError([Problem("c.toml", 3, "zone", "x", "no.")]), 2, "c.toml:3: zone: no. [x]\n"),
        (StartError("127.0.0.1:53 is in use"), 1, "dnsd: 127.0.0.1:53 is in use\n"),
        (
            ZeroDivisionError("oops"),
            1,
            "dnsd: unexpected ZeroDivisionError: oops\n  hint: DNSD_DEBUG=1 shows the traceback\n",
        ),
    ],
    ids=["configuration", "start", "unforeseen"],
)
def test_whatever_ends_the_server_is_told_in_lines(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, said: str
) -> None:
    """No error reaches the operator as a traceback, expected or not."""
    monkeypatch.setattr(daemon, "serve", _raising(error))
    result = run("serve", "--config", str(config))
    assert (result.exit_code, result.stderr) == (status, said)


def test_a_traceback_is_shown_on_request(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNSD_DEBUG=1 shows where an unexpected error came from, and changes no exit status."""
    monkeypatch.setattr(daemon, "serve", _raising(ZeroDivisionError("oops")))
    result = run("serve", "--config", str(config), DNSD_DEBUG="1")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "in serve" in result.stderr


def test_a_token_comes_with_the_lines_for_the_configuration(run: Run) -> None:
    """The printed lines are TOML, hold the token's hash and not the token, and each run makes another token."""
    result = run("token", "edge-1-agent", "--scope", "agent", "--node", "edge-1")
    first, _, toml = result.stdout.partition("\n")
    secret = first.removeprefix("token, shown this once: ")
    entry = tomllib.loads(toml.partition("configuration:")[2])["admin"]["token"][0]
    assert entry == {
        "name": "edge-1-agent",
        "scope": "agent",
        "node": "edge-1",
        "sha256": hashlib.sha256(secret.encode()).hexdigest(),
    }
    assert secret not in toml
    assert len(secret) >= 43
    assert run("token", "edge-1-agent").stdout.splitlines()[0] != first
    router = run("token", "gw", "--scope", "router", "--consumer", "router-1").stdout
    entry = tomllib.loads(router.partition("configuration:")[2])["admin"]["token"][0]
    assert (entry["scope"], entry["consumer"]) == ("router", "router-1")


def test_a_token_in_json(run: Run) -> None:
    """With --json the token, its hash and its entry's fields are one document."""
    document = json.loads(run("token", "alice", "--json").stdout)
    assert (document["name"], document["scope"], document["node"]) == ("alice", "operator", None)
    assert hashlib.sha256(document["token"].encode()).hexdigest() == document["sha256"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("a b",),
        ("alice", "--scope", "agent"),
        ("alice", "--node", "edge-1"),
        ("alice", "--scope", "root"),
        ("alice", "--consumer", "r1"),
        ("alice", "--scope", "router", "--consumer", "a/b"),
        ("alice", "--scope", "router", "--node", "n1"),
    ],
)
def test_a_token_that_would_not_be_accepted_is_not_made(run: Run, arguments: tuple[str, ...]) -> None:
    """A name that is no actor, an agent without a node, and a node or consumer with another scope are usage errors."""
    result = run("token", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
