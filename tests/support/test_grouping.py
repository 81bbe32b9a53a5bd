"""Who goes with whom in a parallel run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.grouping import group_of

CONFTEST = """
import pytest

@pytest.fixture(scope="module")
def lasting():
    yield 1

@pytest.fixture
def through(lasting):
    return lasting
"""
MODULE = """
import pytest

@pytest.fixture
def short():
    return 1

@pytest.mark.parametrize("case", [1])
def test_with(case, through):
    pass

async def test_awaited(*, lasting):
    pass

def test_without(short, tmp_path):
    pass
"""
NAMED = 'import pytest\n\npytestmark = pytest.mark.xdist_group("peers")\n\ndef test_any(): pass\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "part").mkdir()
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "part" / "test_it.py").write_text(MODULE)
    (tmp_path / "part" / "test_named.py").write_text(NAMED)
    return tmp_path


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("part/test_it.py::test_with[1]", "part/test_it.py"),
        ("part/test_it.py::test_awaited", "part/test_it.py"),
        ("part/test_it.py::test_without", None),
        ("part/test_named.py::test_any", "peers"),
    ],
)
def test_what_is_shared_keeps_tests_together(root: Path, test: str, group: str | None) -> None:
    """A fixture that outlives a test, by whatever way a test comes to it; or a name that modules have in common."""
    assert group_of(test, root=root) == group
