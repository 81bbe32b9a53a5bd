"""Paths of URLs, in the table of DNS over HTTPS and in those of checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.files import GOOD_START, load, problems

DOH = '[https]\npath = "{}"\n'
CHECK = '[[check]]\nroles = ["edge"]\ntype = "http"\nport = 80\npath = "{}"\n'


@pytest.mark.parametrize("path", ["/", "/dns-query", "/a/b:c@d;e=1,2~!$&'()*+_."])
def test_a_path_may_stand_where_queries_are_taken_and_in_checks(tmp_path: Path, path: str) -> None:
    """It is kept as it is written."""
    settings = load(tmp_path, GOOD_START + DOH.format(path) + CHECK.format(path))
    assert (settings.https_path, settings.checks[0].probe.path) == (path, path)


@pytest.mark.parametrize("path", ["/healthz?deep=1", "/a%20b", "/a?b?c"])
def test_what_is_sent_may_have_a_query_and_what_is_compared_may_not(tmp_path: Path, path: str) -> None:
    """A check sends its path as it stands; where queries are taken, a client's query is no part of the path."""
    assert load(tmp_path, GOOD_START + CHECK.format(path)).checks[0].probe.path == path
    (problem,) = problems(tmp_path, GOOD_START + DOH.format(path))
    assert (problem.id, problem.place) == ("bad-path", "https.path")


@pytest.mark.parametrize("path", ["", "healthz", "/a b", "/a#b", "/ä", "http://ns1/a"])
def test_what_is_no_path_is_told_in_one_form(tmp_path: Path, path: str) -> None:
    """Both tables say what it is not, each with examples of its own."""
    told = {each.place: each for each in problems(tmp_path, GOOD_START + DOH.format(path) + CHECK.format(path))}
    assert {each.id for each in told.values()} == {"bad-path"}
    assert {place: each.message for place, each in told.items()} == {
        "https.path": f"{path!r} is not the path of a URL, such as /dns-query",
        "check[0].path": f"{path!r} is not the path of a URL, such as /healthz or /healthz?deep=1",
    }
