"""An agent's configuration: what it means, and that everything wrong with it is said at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dnsd.agent.loading import load_agent_settings
from dnsd.agent.schema import REPEATED_TABLES, SINGLE_TABLES
from dnsd.agent.settings import HealthCheck, SessionSource
from dnsd.errors import ConfigurationError
from tests.docs.example import ROOT

GOOD = """\
version = 1
[agent]
node = "edge-1"
servers = ["http://ns1.example.org:8053/", "ns2.example.org:8053"]
token_file = "token"
interval = "500ms"
drain_on_stop = true
socket = "run/agent.sock"
[node]
addresses = ["192.0.2.11"]
roles = ["edge"]
weight = 5
[[sessions]]
role = "edge"
kind = "viewers"
ports = [443, 8443]
[[sessions]]
role = "edge"
kind = "jobs"
url = "http://127.0.0.1:9000/stats"
path = "jobs.0"
timeout = "1s"
[[health]]
role = "edge"
tcp = "[::1]:443"
[hooks]
return = ["/bin/true", "now"]
"""

BAD = """\
version = 2
extra = 1
[agent]
node = "edge 1"
servers = ["ftp://ns1"]
interval = "soon"
intervall = "5s"
token_file = "nowhere"
stop_deadline = 5
[node]
addresses = ["192.0.2.300"]
roles = ["edge"]
[[sessions]]
role = "ingest"
kind = "watchers"
[[sessions]]
role = "ingest"
kind = "viewers"
ports = [0]
[[sessions]]
role = "edge"
kind = "viewers"
ports = [443]
command = ["count"]
path = "a"
[[health]]
role = "edge"
tcp = "443"
[hooks]
drain = []
"""


def test_a_file_becomes_settings(tmp_path: Path) -> None:
    """Paths are relative to the file, and URLs are written in one way."""
    file = tmp_path / "agent.toml"
    file.write_text(GOOD)
    (tmp_path / "token").write_text("abc123\n")
    settings = load_agent_settings(file)
    assert settings.servers == ("http://ns1.example.org:8053", "http://ns2.example.org:8053")
    assert (settings.interval_seconds, settings.stop_deadline_seconds) == (0.5, 600.0)
    assert (settings.token_file, settings.socket) == (tmp_path / "token", tmp_path / "run/agent.sock")
    assert settings.registration is not None
    assert (settings.registration.weight, settings.registration.monitor) == (5, "agent")
    assert settings.sessions == (
        SessionSource(role="edge", kind="viewers", timeout_seconds=2.0, ports=frozenset({443, 8443})),
        SessionSource(
            role="edge", kind="jobs", timeout_seconds=1.0, url="http://127.0.0.1:9000/stats", path=("jobs", "0")
        ),
    )
    assert settings.health == (HealthCheck(role="edge", timeout_seconds=2.0, tcp=("::1", 443)),)
    assert (settings.hooks, settings.hook_timeout_seconds) == ({"return": ("/bin/true", "now")}, 30.0)


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Each problem has its line, its place and its id."""
    file = tmp_path / "agent.toml"
    file.write_text(BAD)
    with pytest.raises(ConfigurationError) as caught:
        load_agent_settings(file)
    assert [(each.line, each.place, each.id) for each in caught.value.problems] == [
        (1, "version", "bad-value"),
        (2, "extra", "unknown-key"),
        (4, "agent.node", "bad-node-id"),
        (5, "agent.servers[0]", "bad-url"),
        (6, "agent.interval", "bad-duration"),
        (7, "agent.intervall", "unknown-key"),
        (8, "agent.token_file", "bad-token-file"),
        (9, "agent.stop_deadline", "wrong-type"),
        (11, "node.addresses[0]", "bad-address"),
        (15, "sessions[0].kind", "bad-value"),
        (17, "sessions[1].role", "unknown-role"),
        (19, "sessions[1].ports[0]", "bad-value"),
        (20, "sessions[2]", "not-one-way"),
        (25, "sessions[2].path", "path-without-url"),
        (28, "health[0].tcp", "bad-endpoint"),
        (30, "hooks.drain", "bad-value"),
    ]


def test_kinds_that_nothing_counts_are_warned_of(tmp_path: Path) -> None:
    """Once for each role, whether some of its kinds are counted or none; the file serves all the same."""
    file = tmp_path / "agent.toml"
    file.write_text(GOOD.replace('roles = ["edge"]', 'roles = ["edge", "ingest"]'))
    (tmp_path / "token").write_text("abc123\n")
    edge, ingest = load_agent_settings(file).warnings
    assert "nothing counts the inputs of edge" in edge
    assert "nothing counts the viewers and inputs and jobs of ingest" in ingest


@pytest.mark.parametrize("host", ["media..local", ".local", "a b", "-a", "x" * 64, "a/b", "\u2028"])
def test_hosts_that_cannot_be_looked_up_are_found_at_once(tmp_path: Path, host: str) -> None:
    """In `tcp`, before a check fails for it."""
    file = tmp_path / "agent.toml"
    file.write_text(GOOD.replace("[::1]:443", f"{host}:443"))
    (tmp_path / "token").write_text("abc123\n")
    with pytest.raises(ConfigurationError) as caught:
        load_agent_settings(file)
    assert [each.id for each in caught.value.problems] == ["bad-endpoint"]


@pytest.mark.parametrize(
    "host", ["media.local", "media.local.", "127.0.0.1", "::1", "fe80::1%eth0", "b\u00fccher.example"]
)
def test_hosts_that_can_be_looked_up_are_taken(tmp_path: Path, host: str) -> None:
    """Names, also of other scripts, and addresses."""
    file = tmp_path / "agent.toml"
    file.write_text(GOOD.replace("[::1]:443", f"{host}:443"))
    (tmp_path / "token").write_text("abc123\n")
    assert load_agent_settings(file).health[0].tcp == (host, 443)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("version = 1\n", "missing-key"), ("version =", "toml-syntax"), ("version = 1\nagent = 3\n", "wrong-type")],
)
def test_a_file_without_its_table_says_so(tmp_path: Path, text: str, problem: str) -> None:
    """A file that is cut short, or of another form, is a problem and no traceback."""
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_agent_settings(file)
    assert problem in [each.id for each in caught.value.problems]


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load_agent_settings(tmp_path / "agent.toml")


def test_the_example_is_good(tmp_path: Path) -> None:
    """The file that users copy is one that an agent runs with, also with every comment taken away."""
    text = (ROOT / "agent.example.toml").read_text()
    file = tmp_path / "agent.toml"
    (tmp_path / "token").write_text("abc")
    file.write_text(text)
    settings = load_agent_settings(file)
    assert (settings.node, settings.token_file, settings.warnings) == ("edge-1", tmp_path / "token", ())
    file.write_text(re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE))
    assert set(load_agent_settings(file).hooks) == {"drain", "safe", "return"}


def test_the_page_lists_every_key() -> None:
    """docs/agent.md has each key of each table."""
    text = (ROOT / "docs" / "agent.md").read_text()
    for name, table in {**SINGLE_TABLES, **REPEATED_TABLES}.items():
        assert f"[{name}]" in text
        for key, field in table.model_fields.items():
            assert f"`{field.alias or key}`" in text, (name, key)
