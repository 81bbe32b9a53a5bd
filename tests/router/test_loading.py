"""A router's configuration: what it means, and every problem of a file at once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from dnsd.cli.main import cli
from dnsd.errors import ConfigurationError
from dnsd.router.loading import load_router_settings
from dnsd.router.urls import UrlTemplate
from tests.router.fleets import a_node

EXAMPLE = Path(__file__).parents[2] / "router.example.toml"

COMMENTED_OUT = re.compile(r"# (\[[a-z]+\]|\w+ = .+)$")


FAULTY = """\
version = 1
roles = ["edge"]
[router]
id = "no good"
listen = ["127.0.0.1:80", "127.0.0.1:80", "localhost:80"]
stale_after = "soon"
session_factor = 0.5
colour = "red"
[store]
url = "sqlite:///var/lib/dnsd/state.db"
prefix = "{dnsd}"
[server]
urls = ["ftp://x"]
token_file = "missing"
[sessions]
secret_file = "short"
[[role]]
name = "edge"
url = "https://{host}/"
fallback = "role:nobody"
[[role]]
name = "edge"
redirect = true
fallback = "hope"
[[role]]
name = "in gest"
url = "https://same.example.org/"
fallback = "url:example.org"
[extra]
"""


def problems(tmp_path: Path, text: str) -> set[tuple[str, str]]:
    """Return the place and the id of each problem of a configuration."""
    path = tmp_path / "router.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_router_settings(path)
    assert all(each.file == str(path) for each in caught.value.problems)
    return {(each.place, each.id) for each in caught.value.problems}


def test_the_example_is_good() -> None:
    """And means what its comments say."""
    settings = load_router_settings(EXAMPLE)
    assert (settings.id, [each.text for each in settings.listen]) == ("router-1", ["127.0.0.1:8054"])
    assert settings.servers == ("http://127.0.0.1:8053",)
    assert settings.roles["ingest"].policy.uses_draining
    assert settings.roles["edge"].url is not None
    assert len(settings.warnings) == 1


def test_what_the_example_leaves_out_is_good_as_well(tmp_path: Path) -> None:
    """Every line of it that is commented out."""
    text = EXAMPLE.read_text()
    begin, end = text.index("[server]"), text.index("# Tokens keep")
    lines = (text[:begin] + text[end:]).splitlines()
    keys = [line.removeprefix("# ") if COMMENTED_OUT.match(line) else line for line in lines]
    secrets = tmp_path / "router.secrets"
    secrets.write_text("a" * 64 + "\n\n" + "b" * 64 + "\n")
    path = tmp_path / "router.toml"
    path.write_text("\n".join(keys).replace("/etc/dnsd/router.secrets", str(secrets)))
    settings = load_router_settings(path)
    assert settings.store_url == "redis://dnsd:SECRET@10.0.0.5:6379/0"
    assert (settings.session_factor, settings.state_file) == (1.25, Path("/var/lib/dnsd-router/last-state"))
    assert settings.signer is not None
    assert settings.roles["edge"].fallback_url == "https://example.org/sorry"
    assert settings.warnings == ()


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """Each with its place and a stable id."""
    (tmp_path / "short").write_text("secret\n")
    found = problems(
        tmp_path,
        FAULTY,
    )
    assert found == {
        ("roles", "unknown-key"),
        ("extra", "unknown-key"),
        ("router.id", "bad-router-id"),
        ("router.listen[1]", "duplicate-listen"),
        ("router.listen[2]", "bad-address"),
        ("router.stale_after", "bad-duration"),
        ("router.session_factor", "bad-value"),
        ("router.colour", "unknown-key"),
        ("store", "one-source"),
        ("store.prefix", "bad-prefix"),
        ("store.url", "store-not-shared"),
        ("server.urls[0]", "bad-url"),
        ("server.token_file", "unreadable"),
        ("sessions.secret_file", "bad-secret"),
        ("role[0].url", "bad-url"),
        ("role[0].fallback", "bad-fallback"),
        ("role[1].name", "duplicate-role"),
        ("role[1].redirect", "no-url"),
        ("role[1].fallback", "bad-fallback"),
        ("role[2].name", "bad-role"),
        ("role[2].url", "bad-url"),
        ("role[2].fallback", "bad-fallback"),
    }


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", "version", "missing-key"),
        ("version = 1", "server", "one-source"),
        ("version = 2\n[server]\nurls = ['http://h']", "version", "bad-value"),
        ("version = 1\n[store]\n", "store.url", "missing-key"),
        ("version = 1\n[store]\nurl = 'mysql://h'", "store.url", "store-unsupported"),
        ("version = 1\n[store]\nurl = 'redis://'", "store.url", "bad-store-url"),
        ("version = 1\n[server]\nurls = []", "server.urls", "bad-value"),
        ("version = 1\nrole = 1\n[server]\nurls = ['http://h']", "role", "wrong-type"),
        ("version = ", "", "toml-syntax"),
    ],
)
def test_a_problem_by_itself(tmp_path: Path, text: str, place: str, problem: str) -> None:
    """Told, whatever else there is."""
    assert (place, problem) in problems(tmp_path, text)


def test_a_role_that_redirects_falls_back_to_one_with_a_url(tmp_path: Path) -> None:
    """Otherwise no client could be sent there."""
    text = """\
version = 1
[server]
urls = ["http://h"]
[[role]]
name = "edge"
url = "https://{id}/"
redirect = true
fallback = "role:origin"
[[role]]
name = "origin"
"""
    assert problems(tmp_path, text) == {("role[0].fallback", "no-url")}


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    """Rather than a traceback."""
    with pytest.raises(ConfigurationError):
        load_router_settings(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("template", "url"),
    [
        ("https://{id}.example.org/{key}", "https://n0.example.org/live%2Fa%20b"),
        ("http://{address}:{port}/", "http://192.0.2.1:8443/"),
        ("http://{ipv6}/{region}", "http://[2001:db8::1]/eu%20west"),
        ("srt://{ipv4}:{port}?streamid={role}", "srt://192.0.2.1:8443?streamid=edge"),
        ("https://{id}.{cluster}.example.org/", None),
    ],
)
def test_a_template_makes_a_nodes_url(template: str, url: str | None) -> None:
    """None where the node lacks what a field stands for."""
    node = a_node("n0", addresses=("192.0.2.1", "2001:db8::1"), region="eu west", ports={"edge": 8443})
    assert UrlTemplate(template).url_of(node, role="edge", key="live/a b") == url


@pytest.mark.parametrize(
    "text", ["https://{id", "https://{}/", "https://{id!r}/", "https://{id:>9}/", "{id}", "file:///{id}"]
)
def test_a_template_that_makes_no_url_is_refused(text: str) -> None:
    """Before any client is sent there."""
    with pytest.raises(ValueError, match=r"is not a URL|has a (brace|field)"):
        UrlTemplate(text)


def test_the_command_checks_a_configuration(tmp_path: Path) -> None:
    """Without running anything; exit status 2 and every problem where it is not good."""
    good = CliRunner().invoke(cli, ["router", "--check", "--config", str(EXAMPLE)])
    assert (good.exit_code, good.stdout) == (0, f"{EXAMPLE}: ok\n")
    bad = tmp_path / "router.toml"
    bad.write_text("version = 1\ncolour = 'red'\n")
    told = CliRunner().invoke(cli, ["router", "--check", "--json", "--config", str(bad)])
    assert told.exit_code == 2
    assert {each["id"] for each in json.loads(told.stdout)["problems"]} == {"unknown-key", "one-source"}
