"""Every fault of a configuration is reported, all at once, with its id, line and place."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsd.config.loading import load_settings
from dnsd.errors import ConfigurationError
from tests.config.cases import ALL
from tests.config.files import GOOD_START, ZONE, brief, problems


@pytest.mark.parametrize(("added", "expected"), ALL)
def test_a_fault_is_reported_where_it_stands(tmp_path: Path, added: str, expected: list[tuple[str, int, str]]) -> None:
    """Exactly the faults of the text are reported."""
    assert brief(problems(tmp_path, GOOD_START + added)) == expected


TOP: list[tuple[str, list[tuple[str, int, str]]]] = [
    ("", [("missing-key", 0, "version")]),
    ("version = 2\n", [("bad-value", 1, "version")]),
    ("version = true\n", [("wrong-type", 1, "version")]),
    ("version = 1.0\n", [("wrong-type", 1, "version")]),
    ("version = 1\nroles = []\n", [("bad-value", 2, "roles")]),
    ('version = 1\nroles = ["a b"]\n', [("bad-role", 2, "roles[0]")]),
    ('version = 1\nroles = ["a",\n"a"]\n', [("duplicate-role", 3, "roles[1]")]),
    ("version = 1\nrole = []\n", [("unknown-key", 2, "role")]),
    ("version = 1\n\nx = = 1\n", [("toml-syntax", 3, "")]),
    ("version = 1\nx = [1,\n", [("toml-syntax", 2, "")]),
    ("version = 1\nversion = 1\n", [("toml-syntax", 2, "")]),
    ("x = " + "[" * 5000, [("toml-syntax", 0, "")]),
    ("x = " + "1" * 5000, [("toml-syntax", 0, "")]),
]


@pytest.mark.parametrize(("text", "expected"), TOP)
def test_a_fault_of_the_document_is_reported(tmp_path: Path, text: str, expected: list[tuple[str, int, str]]) -> None:
    """Faults above all tables, and text that is not TOML, have their line."""
    assert brief(problems(tmp_path, text)) == expected


def test_faults_of_all_kinds_and_of_the_zones_are_reported_together(tmp_path: Path) -> None:
    """Shape, meaning and zone files are checked in one go, even within one table."""
    text = (
        GOOD_START
        + """color = "red"
[server]
listen = ["here"]
[[node]]
id = "n 1"
addresses = "192.0.2.1"
roles = ["egde"]
[[pool]]
name = "edge.example.org."
rôle = "edge"
floor = "lots"
"""
    )
    text = text.replace("rôle", "roll")
    found = problems(tmp_path, text, zone=ZONE + "bad A x\nother. A 192.0.2.1\n")
    assert brief(found) == [
        ("bad-address", 7, "server.listen[0]"),
        ("bad-floor", 15, "pool[0].floor"),
        ("bad-node-id", 9, "node[0].id"),
        ("bad-rdata", 9, "bad.example.org."),
        ("missing-key", 12, "pool[0].role"),
        ("out-of-zone", 10, "other."),
        ("unknown-key", 5, "zone[0].color"),
        ("unknown-key", 14, "pool[0].roll"),
        ("unknown-role", 11, "node[0].roles[0]"),
        ("wrong-type", 10, "node[0].addresses"),
    ]
    assert {problem.file for problem in found} == {str(tmp_path / "config.toml"), str(tmp_path / "zone")}


def test_names_in_a_broken_zone_are_not_blamed(tmp_path: Path) -> None:
    """A zone that cannot be read makes no pool of it outside every zone."""
    text = GOOD_START + '[[pool]]\nname = "edge.example.org."\nrole = "edge"\n'
    assert brief(problems(tmp_path, text, zone=ZONE + "bad A x\n")) == [("bad-rdata", 9, "bad.example.org.")]


@pytest.mark.parametrize(
    ("added", "hint"),
    [
        ("[sever]\n", 'did you mean "server"?'),
        ('[[pool]]\nname = "a.example.org"\nrole = "edge"\nmax_answer = 3\n', 'did you mean "max_answers"?'),
        ('[[pool]]\nname = "a.example.org"\nrole = "edgy"\n', 'did you mean "edge"?'),
        ("[admin]\ntokens = []\n", 'did you mean "token"?'),
    ],
)
def test_a_near_miss_gets_a_hint(tmp_path: Path, added: str, hint: str) -> None:
    """An unknown word near a known one names it."""
    assert [problem.message.endswith(hint) for problem in problems(tmp_path, GOOD_START + added)] == [True]


def test_a_password_in_a_store_url_is_not_repeated(tmp_path: Path) -> None:
    """What is said of a store's URL never quotes it."""
    found = problems(tmp_path, GOOD_START + '[store]\nurl = "redis://:secret@h/0"\n')
    assert "not available in this version" in str(found[0])
    assert "secret" not in str(found[0])


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """A configuration that is not there, is a folder, or is no text is refused like any other."""
    (tmp_path / "latin").write_bytes(b"# \xff\n")
    for name, expected in (("missing", "unreadable"), (".", "unreadable"), ("latin", "not-utf8")):
        with pytest.raises(ConfigurationError) as caught:
            load_settings(tmp_path / name)
        assert [problem.id for problem in caught.value.problems] == [expected]
