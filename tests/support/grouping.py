"""Which tests of a parallel run belong into one process: those that share what is made once for a module.

pytest-xdist asks its workers for groups in a way that pytest 9.2 gives no answer to. So the tests' sources are read
here, by the process that hands out tests and collects none itself. It must not know what any test is about.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]

# How a module says that its tests belong together with those of other modules.
NAMED = re.compile(r'^pytestmark = pytest\.mark\.xdist_group\("([^"]+)"\)$', re.MULTILINE)

LASTING = {"module", "package"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


class ByWhatIsShared(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out tests one by one, but for those that share something, which go to one process together."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid) or nodeid


def group_of(nodeid: str, *, root: Path = ROOT) -> str | None:
    """Return the group of a test, by its id as pytest writes it; None: it has none."""
    path, _, rest = nodeid.partition("::")
    named, sharing = _read(root / path)
    return named or (path if rest.partition("[")[0] in sharing else None)


@functools.cache
def _read(path: Path) -> tuple[str | None, frozenset[str]]:
    """Return the group that a module names, if it does, and its functions that use what lasts."""
    text = path.read_text()
    functions: dict[str, Function] = {}
    for folder in reversed(path.parents):
        if (folder / "conftest.py").exists():
            functions.update(_functions((folder / "conftest.py").read_text()))
    own = dict(_functions(text))
    functions.update(own)
    named = NAMED.search(text)
    return named and named[1], frozenset(name for name in own if _lasts(name, functions, set()))


def _functions(text: str) -> Iterator[tuple[str, Function]]:
    for each in ast.parse(text).body:
        if isinstance(each, Function):
            yield each.name, each


def _lasts(name: str, functions: dict[str, Function], seen: set[str]) -> bool:
    """Say whether a function is a fixture that outlives a test, or uses one, by its arguments."""
    function = functions.get(name)
    if function is None or name in seen:
        return False
    seen.add(name)
    scopes = {
        keyword.value.value
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call)
        for keyword in decorator.keywords
        if keyword.arg == "scope" and isinstance(keyword.value, ast.Constant)
    }
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return bool(scopes & LASTING) or any(_lasts(each.arg, functions, seen) for each in arguments)
