"""Reading in a process of its own: the same comes of it, and its end is never a hang."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dnsd.core import names, zoneimage_build
from dnsd.core.zoneimage import ZoneImage, count_records
from dnsd.zonefile import apart, zone
from dnsd.zonefile.apart import end_readers, read_apart, read_zones
from dnsd.zonefile.zone import Request, ZoneFile, read_requested
from tests.support.limits import limited
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


def _said(found: ZoneFile, folder: Path) -> str:
    """Return the message of the one problem, that the zone was not read."""
    assert found.zone is None
    assert brief(found.problems, folder) == [("zone", 0, "example.org.", "not-read")]
    return found.problems[0].message


def test_without_a_descriptor_the_limit_is_named(tmp_path: Path) -> None:
    """It is no fault of the file, and says what to raise."""
    request = request_for(tmp_path, GOOD_START)
    with limited(resource.RLIMIT_NOFILE, 3):
        found = read_apart(request)
    assert "its image cannot be kept: too many open files, the limit is 3 (" in _said(found, tmp_path)


def test_a_file_that_is_read_here_names_the_limit_too(tmp_path: Path) -> None:
    """A smaller zone's file that cannot be opened is not blamed on the file."""
    request = request_for(tmp_path, GOOD_START)
    with limited(resource.RLIMIT_NOFILE, 3):
        found = read_requested(request)
    assert brief(found.problems, tmp_path) == [("zone", 0, "example.org.", "unreadable")]
    assert "too many open files, the limit is 3 (" in found.problems[0].message


def test_a_process_that_cannot_be_run_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The zone is not read, and the problem does not blame its image."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    said = _said(read_apart(request_for(tmp_path, GOOD_START)), tmp_path)
    assert "a process to read it cannot be run: No such file" in said


def test_an_image_without_room_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read here or apart, a zone whose image cannot be written is not read, and the problem says why."""

    def limit(pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    request = request_for(tmp_path, GOOD_START + HOSTS)
    monkeypatch.setattr(zone, "MAX_NAMES_AS_OBJECTS", 100)
    with limited(resource.RLIMIT_FSIZE, 4096):
        here = read_requested(request)
    for found in (here, read_apart(request, on_start=limit)):
        assert _said(found, tmp_path) == "it could not be read: its image cannot be kept: File too large"


def test_an_image_that_is_too_large_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told beside what is wrong with the file."""
    monkeypatch.setattr(zone, "MAX_NAMES_AS_OBJECTS", 100)
    monkeypatch.setattr(zoneimage_build, "MAX_IMAGE_SIZE", 5000)
    assert "more than 5000 bytes" in _said(read_requested(request_for(tmp_path, GOOD_START + HOSTS)), tmp_path)
    found = read_requested(request_for(tmp_path, GOOD_START + HOSTS + "bad A x\n"))
    assert [problem.id for problem in found.problems] == ["bad-rdata", "not-read"]


def test_the_end_waits_for_no_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once readers are to end, one that was just started is ended, and of those that wait none is begun."""
    begun: list[subprocess.Popen[bytes]] = []
    start = apart._start

    def end_meanwhile(fd: int, *, niceness: int) -> subprocess.Popen[bytes]:
        begun.append(start(fd, niceness=niceness))
        end_readers()
        return begun[-1]

    monkeypatch.setattr(apart, "_readers", apart._Readers())
    monkeypatch.setattr(apart, "_start", end_meanwhile)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(apart, "LARGE_FILE_SIZE", 1000)
    requests = [request_for(tmp_path, GOOD_START + HOSTS, name=f"zone{number}") for number in range(4)]
    found = read_zones(requests, hurry=False)
    assert [process.returncode for process in begun] == [-signal.SIGKILL]
    assert [[problem.id for problem in each.problems] for each in found] == [["not-read"]] * 4
    assert read_zones([request_for(tmp_path, GOOD_START)], hurry=False)[0].zone is None


class _Threads(ThreadPoolExecutor):
    """Tells when it takes no more work, before it waits for what is under way."""

    closed = threading.Event()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        self.closed.set()
        super().shutdown(wait=wait)


def test_what_is_broken_off_begins_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while zones are read at a start waits for none that is not begun."""
    begun: list[Request] = []
    first = threading.Event()

    def read(request: Request, *, hurry: bool) -> ZoneFile:
        begun.append(request)
        first.set()
        assert _Threads.closed.wait(10)
        return zone.not_read(request, f"hurry: {hurry}")

    def interrupted(_request: Request) -> ZoneFile:
        assert first.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(apart, "ThreadPoolExecutor", _Threads)
    monkeypatch.setattr(apart, "read_apart", read)
    monkeypatch.setattr(apart, "read_requested", interrupted)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(apart, "LARGE_FILE_SIZE", 1000)
    texts = [GOOD_START + HOSTS] * 3 + [GOOD_START]
    with pytest.raises(KeyboardInterrupt):
        read_zones([request_for(tmp_path, text, name=f"zone{at}") for at, text in enumerate(texts)], hurry=True)
    assert len(begun) == 1
