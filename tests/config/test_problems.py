"""Every fault of a configuration is reported, all at once, with its id, line and place."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from dnsd.config.loading import load_settings
from dnsd.errors import ConfigurationError
from dnsd.zonefile.files import MAX_FILE_SIZE
from tests.config.cases import ALL
from tests.config.files import GOOD_START, ZONE, brief, problems, write


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


NAMES = """[[pool]]
name = "edge.example.org."
role = "edge"
[[pool]]
name = "taken.example.org."
role = "edge"
[[pool]]
name = "a.sub.example.org."
role = "edge"
[[pool]]
name = "edge.example.com."
role = "edge"
"""

NAME_FAULTS = [
    ("clash", 9, "pool[1].name"),
    ("occluded", 12, "pool[2].name"),
    ("outside-zones", 15, "pool[3].name"),
]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("", ""), []),
        (("text TXT", "bad A x\ntext TXT"), [("bad-rdata", 6, "bad.example.org.")]),
        (("@ SOA", ";"), [("no-soa", 0, "example.org.")]),
        (("host 1", "host one"), [("bad-rdata", 2, "example.org.")]),
        (
            ("text TXT", "$INCLUDE gone\nold A 192.0.2.1\nx.old A 192.0.2.1\ntext CNAME x\ntext TXT"),
            [
                ("below-dname", 8, "x.old.example.org."),
                ("cname-and-other", 9, "text.example.org."),
                ("unreadable", 6, "example.org."),
            ],
        ),
    ],
)
def test_a_broken_zone_hides_no_fault_of_the_fleets_names(
    tmp_path: Path, change: tuple[str, str], expected: list[tuple[str, int, str]]
) -> None:
    """What is certain from the records that could be read is said in the same go as what is wrong with the others."""
    zone = ZONE.replace(*change) if change[0] else ZONE
    assert brief(problems(tmp_path, GOOD_START + NAMES, zone=zone)) == sorted([*expected, *NAME_FAULTS])


def test_names_that_a_broken_zone_could_not_give_are_not_blamed(tmp_path: Path) -> None:
    """A record that cannot be read neither clashes nor hides, and a zone whose file is gone still has its names."""
    text = GOOD_START + '[[pool]]\nname = "edge.example.org."\nrole = "edge"\n'
    assert brief(problems(tmp_path, text, zone=ZONE + "edge A x\n")) == [("bad-rdata", 9, "edge.example.org.")]
    found = problems(tmp_path, text.replace('"zone"', '"gone"'))
    assert brief(found) == [("unreadable", 4, "zone[0].file")]
    assert str(tmp_path / "gone") in found[0].message
    assert found[0].file == str(tmp_path / "config.toml")


def test_a_template_may_make_names_of_several_zones(tmp_path: Path) -> None:
    """Where a node's region is part of the zone's name, the names that are made count and not a made-up one."""
    node = '[[node]]\nid = "n1"\naddresses = ["192.0.2.1"]\nroles = ["edge"]\nregion = "example"\n'
    record = '[[node_record]]\nname = "{id}.{region}.org"\n'
    write(tmp_path, GOOD_START + node + record)
    assert load_settings(tmp_path / "config.toml").node_records[0].template == "{id}.{region}.org."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[drain]\ndefault_expiry = 4\n", 'should be a duration in quotes, with its unit, such as "4h", "90s" or "1d"'),
        ("[server]\nid = 4\n", "should be text, in quotes"),
        ('[server]\nlisten = "x"\n', "should be a list, in brackets"),
        ('[server]\nworkers = "4"\n', "should be an integer"),
    ],
)
def test_a_wrong_type_says_how_the_value_is_written(tmp_path: Path, text: str, message: str) -> None:
    """The message is about what stands in the file, in words of the file."""
    assert [problem.message for problem in problems(tmp_path, GOOD_START + text)] == [message]


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
    for url in ("redis://:secret@h/zero", "redis://secret@h/0", "rediss://:secret@h:x/0"):
        found = problems(tmp_path, GOOD_START + f'[store]\nurl = "{url}"\n')
        assert [each.id for each in found] == ["bad-store-url"]
        assert "secret" not in str(found[0])


@pytest.mark.parametrize("missing", ["ca", "cert", "key"])
def test_a_file_of_the_stores_url_that_cannot_be_read_is_a_problem(tmp_path: Path, missing: str) -> None:
    """It is named with its path, relative to the configuration; a server that runs already is told, and reloads."""
    for name in {"ca", "cert", "key"} - {missing}:
        (tmp_path / f"{name}.pem").touch()
    url = "rediss://:secret@h/0?ca=ca.pem&cert=cert.pem&key=key.pem"
    text = GOOD_START + f'[store]\nstate_file = "last-state"\nurl = "{url}"\n'
    (found,) = problems(tmp_path, text)
    said = f"{missing} {tmp_path / missing}.pem cannot be read: No such file or directory"
    assert (found.id, found.line, found.place, found.message) == ("unreadable", 7, "store.url", said)
    (warning,) = load_settings(tmp_path / "config.toml", starting=False).warnings
    assert said in warning
    (tmp_path / f"{missing}.pem").mkdir()
    assert [each.message.rpartition(": ")[2] for each in problems(tmp_path, text)] == ["Is a directory"]
    (tmp_path / f"{missing}.pem").rmdir()
    (tmp_path / f"{missing}.pem").touch()
    assert load_settings(tmp_path / "config.toml").warnings == ()


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """A configuration that is not there, is a folder, or is no text is refused like any other."""
    (tmp_path / "latin").write_bytes(b"# \xff\n")
    for name, expected in (("missing", "unreadable"), (".", "unreadable"), ("latin", "not-utf8")):
        with pytest.raises(ConfigurationError) as caught:
            load_settings(tmp_path / name)
        assert [problem.id for problem in caught.value.problems] == [expected]


@pytest.mark.parametrize("place", ["config", "zone", "include"])
@pytest.mark.parametrize("kind", ["fifo", "folder", "loop", "device", "socket", "nul", "long", "huge"])
def test_a_file_that_is_none_is_a_problem(tmp_path: Path, place: str, kind: str) -> None:
    """Whatever stands where a file is named, loading neither waits nor fails otherwise."""
    odd = tmp_path / "odd"
    if kind == "fifo":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.mkdir()
    elif kind == "loop":
        odd.symlink_to(odd)
    elif kind == "huge":
        with odd.open("wb") as file:
            file.truncate(MAX_FILE_SIZE + 1)
    name = {"device": "/dev/zero", "socket": "odd", "nul": "o\\u0000dd", "long": "o" * 5000}.get(kind, "odd")
    with socket.socket(socket.AF_UNIX) as bound:
        if kind == "socket":
            bound.bind(str(odd))
        plain = name.replace("\\u0000", "\\000")
        write(
            tmp_path,
            GOOD_START.replace('"zone"', f'"{name}"') if place == "zone" else GOOD_START,
            zone=ZONE + f'$INCLUDE "{plain}"\n' if place == "include" else ZONE,
        )
        path = tmp_path / (name.replace("\\u0000", "\0") if place == "config" else "config.toml")
        with pytest.raises(ConfigurationError) as caught:
            load_settings(path)
    expected = {"config": ("unreadable", 0), "zone": ("unreadable", 4), "include": ("unreadable", 9)}[place]
    assert [(problem.id, problem.line) for problem in caught.value.problems] == [expected]
