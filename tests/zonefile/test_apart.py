"""Reading in a process of its own: the same comes of it, and its end is never a hang."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsd.core import names
from dnsd.core.zoneimage import ZoneImage, count_records
from dnsd.zonefile import apart, zone
from dnsd.zonefile.apart import read_apart, read_zones
from dnsd.zonefile.zone import Request, ZoneFile, read_requested
from tests.zonefile.files import GOOD_START, brief

HOSTS = "".join(f"host{number} A 192.0.2.{number % 256}\n" for number in range(300))
ODD = "sub NS ns.sub\nns.sub A 192.0.2.9\nhidden.sub TXT x\n* MX 10 nowhere\nd DNAME other.\n"


def request_for(folder: Path, text: str, *, name: str = "zone") -> Request:
    (folder / name).write_text(text)
    return Request(path=folder / name, apex=names.from_text("example.org."))


def same(found: ZoneFile, expected: ZoneFile) -> bool:
    assert (found.zone is None) == (expected.zone is None)
    assert dict(found.names.nodes) == dict(expected.names.nodes)
    assert (found.names.apex, found.names.negative_ttl) == (expected.names.apex, expected.names.negative_ttl)
    return (found.problems, found.warnings) == (expected.problems, expected.warnings)


@pytest.mark.parametrize("added", [HOSTS + ODD, ODD + "bad A x\nd.d A 192.0.2.1\n", "@ SOA ns1 h 2 2 2 2 2\n"])
def test_what_comes_of_it_is_the_same(tmp_path: Path, added: str) -> None:
    """Zone, names, problems and warnings are those of reading here; what is large is an image."""
    request = request_for(tmp_path, GOOD_START + added)
    found = read_apart(request)
    assert same(found, read_requested(request))
    assert isinstance(found.names.nodes, ZoneImage)


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    """It is the same problem as where the file is read here."""
    request = Request(path=tmp_path / "none", apex=names.from_text("example.org."))
    assert same(read_apart(request), read_requested(request))


def test_large_and_small_zones_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each result stands where its request does, whichever way it was read."""
    monkeypatch.setattr(apart, "LARGE_FILE_SIZE", 1000)
    texts = [GOOD_START + HOSTS, GOOD_START, GOOD_START + HOSTS + "more A 192.0.2.1\n", GOOD_START + "a A 192.0.2.1\n"]
    requests = [request_for(tmp_path, text, name=f"zone{place}") for place, text in enumerate(texts)]
    found = read_zones(requests, hurry=False)
    assert [count_records(each.names) for each in found] == [303, 3, 304, 4]
    assert [isinstance(each.names.nodes, ZoneImage) for each in found] == [True, False, True, False]


def test_many_names_make_an_image_however_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short file can hold many names; they are kept as an image as well."""
    monkeypatch.setattr(zone, "MAX_NAMES_AS_OBJECTS", 100)
    request = request_for(tmp_path, GOOD_START + "$GENERATE 1-200 host$ A 192.0.2.1\n")
    (found,) = read_zones([request], hurry=True)
    assert isinstance(found.names.nodes, ZoneImage)
    assert len(found.names.nodes) == 202


def _killer(number: int) -> Callable[[int], None]:
    return lambda pid: os.kill(pid, number)


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGKILL, "ended by signal 9, perhaps because memory ran out"), (signal.SIGTERM, "15")]
)
def test_a_killed_reader_is_a_problem(tmp_path: Path, number: int, said: str) -> None:
    """Where the process ends without a word, the zone is not read, and the problem says how it ended."""
    found = read_apart(request_for(tmp_path, GOOD_START), on_start=_killer(number))
    assert found.zone is None
    assert list(found.names.nodes) == [names.from_text("example.org.")]
    assert brief(found.problems, tmp_path) == [("zone", 0, "example.org.", "not-read")]
    assert said in found.problems[0].message


def test_a_reader_that_fails_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours in the process is told with its status, and its traceback goes where ours would."""
    monkeypatch.setattr(apart, "NICENESS", "not a number")
    found = read_apart(request_for(tmp_path, GOOD_START), hurry=False)
    assert [problem.id for problem in found.problems] == ["not-read"]
    assert "ended with status 1" in found.problems[0].message


def test_without_memory_to_share_it_is_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without memfd serves large zones as well."""
    request = request_for(tmp_path, GOOD_START + HOSTS)
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(zone, "MAX_NAMES_AS_OBJECTS", 100)
    found = read_apart(request)
    assert isinstance(found.names.nodes, ZoneImage)
    assert count_records(found.names) == 303


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    """Zones that are read and dropped leave nothing behind, whether it went well or not."""
    good, bad = request_for(tmp_path, GOOD_START), request_for(tmp_path, "a A x\n", name="bad")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        read_apart(good)
        read_apart(bad)
        read_apart(good, on_start=_killer(signal.SIGKILL))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
