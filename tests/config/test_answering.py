"""What the configuration says of answers: who the server says it is, and its cookies."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsd.config.reload import needs_restart
from dnsd.core.policy import AnswerPolicy
from tests.config.files import GOOD_START, brief, load, problems

START = GOOD_START + '[server]\nid = "ns1"\n'
SECRETS = GOOD_START + '[cookies]\nsecret_file = "secrets"\n'
OLD, NEW = "00112233445566778899aabbccddeeff", "FFEEDDCCBBAA99887766554433221100"


def policy(folder: Path, text: str) -> AnswerPolicy:
    return load(folder, text).policy


def write_secrets(folder: Path, text: str, *, mode: int = 0o640) -> None:
    path = folder / "secrets"
    path.write_text(text)
    path.chmod(mode)


def warned(folder: Path) -> list[str]:
    """Return the ids of what is odd, but for the store that forgets."""
    ids = [warning.rpartition(" ")[2] for warning in load(folder, SECRETS).warnings]
    return [each for each in ids if each != "[store-forgets]"]


def test_defaults(tmp_path: Path) -> None:
    """The id is told to those who ask with NSID and in no other way; cookies are on, with no secret in the file."""
    got = policy(tmp_path, START)
    assert (got.nsid, got.version_text, got.id_text) == ("ns1", "", "")
    assert (got.cookies, got.cookie_secrets, got.require_cookies) == (True, (), False)


def test_what_is_told_can_be_set(tmp_path: Path) -> None:
    """NSID may be another text or none; version and id in class CH are told where configured."""
    got = policy(tmp_path, START + 'nsid = "rack ü"\nversion_bind = "dnsd"\nid_server = true\n')
    assert (got.nsid, got.version_text, got.id_text) == ("rack ü", "dnsd", "ns1")
    assert policy(tmp_path, START + 'nsid = ""\n').nsid == ""


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (f'nsid = "{"n" * 128}"\nversion_bind = "{"v" * 255}"\n', []),
        (f'nsid = "{"ü" * 65}"\n', [("bad-value", 7, "server.nsid")]),
        (f'version_bind = "{"v" * 256}"\n', [("bad-value", 7, "server.version_bind")]),
        ('id_server = "yes"\n', [("wrong-type", 7, "server.id_server")]),
        ("nsid = 1\n", [("wrong-type", 7, "server.nsid")]),
        ("[cookies]\nenabled = 1\n", [("wrong-type", 8, "cookies.enabled")]),
        ("[cookies]\nsecret = true\n", [("unknown-key", 8, "cookies.secret")]),
        ('[cookies]\nsecret_file = "gone"\n', [("unreadable", 8, "cookies.secret_file")]),
        ('[cookies]\nsecret_file = "."\n', [("unreadable", 8, "cookies.secret_file")]),
        ('[cookies]\nsecret_file = "\\u0000"\n', [("unreadable", 8, "cookies.secret_file")]),
    ],
)
def test_faults(tmp_path: Path, added: str, expected: list[tuple[str, int, str]]) -> None:
    """Texts have the size that a message has room for, and the file of secrets is a file."""
    if not expected:
        assert policy(tmp_path, START + added).nsid == "n" * 128
        return
    assert brief(problems(tmp_path, START + added)) == expected


def test_secrets_are_read_in_their_order(tmp_path: Path) -> None:
    """RFC 9018 §5: the first makes cookies; digits of either case, and empty lines, are fine."""
    write_secrets(tmp_path, f"{OLD}\n\n  {NEW}\r\n")
    got = policy(tmp_path, SECRETS)
    assert got.cookie_secrets == (bytes.fromhex(OLD), bytes.fromhex(NEW))
    assert OLD not in repr(got).lower()
    assert "00112233" not in repr(got)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["[no-cookie-secret]"]),
        ("\n \n", ["[no-cookie-secret]"]),
        (OLD[:-1], ["line 1 of"]),
        (f"{OLD}\n{OLD}0\n# {NEW}\n", ["line 2 of", "line 3 of"]),
        (f"{OLD}\n" * 9, ["there are 9 secrets"]),
    ],
)
def test_what_is_no_secret_is_told_without_showing_it(tmp_path: Path, text: str, said: list[str]) -> None:
    """Each line that is none is named by its number; `dnsd check` must not print what may be a secret with a slip."""
    write_secrets(tmp_path, text)
    found = problems(tmp_path, SECRETS)
    assert [(each.place, each.line) for each in found] == [("cookies.secret_file", 6)] * len(said)
    for each, part in zip(found, said, strict=True):
        assert part in str(each)
        assert OLD[:8] not in str(each)
        assert NEW[:8] not in str(each)


def test_a_file_that_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    """Whoever has the secret can make cookies; a group that may read it is the operator's choice."""
    write_secrets(tmp_path, OLD, mode=0o640)
    assert warned(tmp_path) == []
    write_secrets(tmp_path, OLD, mode=0o644)
    assert warned(tmp_path) == ["[secret-open]"]


def test_a_reload_can_change_all_of_it(tmp_path: Path) -> None:
    """Nothing of it needs a restart."""
    write_secrets(tmp_path, OLD)
    old = load(tmp_path, START)
    new = load(tmp_path, START + 'nsid = "x"\n[cookies]\nsecret_file = "secrets"\nrequire = true\n')
    assert old.policy != new.policy
    assert needs_restart(old, new) == ()
