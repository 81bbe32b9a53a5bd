"""The rules of the house that no linter holds: sizes, and documents that say what the code does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from admin import problems
from admin.metrics import EVENTS, Metrics, MetricsSample
from admin.problems import KIND_OF, Kind
from admin.routes import ROUTES
from dnsd import __version__
from dnsd.cli.failures import ExitStatus
from dnsd.cli.main import cli
from dnsd.config import schema
from dnsd.config.reload import _FIXED
from tests.docs.example import ROOT

MAX_MODULE_LINES = 600
MAX_FUNCTION_LINES = 60

GENERATED = ROOT / "dnsd" / "adapters" / "grpc" / "v1"
MODULES = sorted(
    path
    for folder in ("admin", "bench", "dnsd", "scripts", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if GENERATED not in path.parents
)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RECORDS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))

SAMPLE = MetricsSample(
    queries={("udp", "NOERROR"): 1},
    events={(kind, "any"): 1 for kind in EVENTS},
    answer_generation=1,
    store_revision=1,
    applied_revision=1,
    pool_members={("edge.example.org.", "serving"): 1},
    pool_fail_open={"edge.example.org.": False},
    pool_margins={"edge.example.org.": 1},
    consumers={("dns", "applied"): 1},
    consumers_behind={("router", "router-1"): 1.0},
    drains={("draining", "edge"): 1},
    drain_age_seconds={("edge-1", "edge", "ops"): 1.0},
    store_up=True,
    state_age_seconds=0.0,
    reloads={"ok": 1},
    checks={("tcp", "ok"): 1},
    check_targets={"up": 1},
    adapters_up={"haproxy": True},
    adapter_requests={("haproxy", "ok"): 1},
    secondary_zones={("knot-1", "level"): 1},
    notifies={("knot-1", "ok"): 1},
    zone_versions={"made": 1},
)


# Tables that stand below others, by their headings.
NESTED_TABLES: dict[str, type[schema.Section]] = {
    "admin.token": schema.TokenSection,
    "transfer.key": schema.TransferKeySection,
    "transfer.secondary": schema.TransferSecondarySection,
}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _text(document: str) -> str:
    return (ROOT / document).read_text()


def _rows(document: str) -> Iterator[list[str]]:
    """Yield the cells of every row of every table."""
    for line in _text(document).splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


# --- code -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_and_its_functions_are_of_a_size_to_be_read(path: Path) -> None:
    """No module has more than 600 lines, and no function more than 60."""
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_MODULE_LINES
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES]
    assert long == []


def test_half_of_the_modules_are_short() -> None:
    """The median module has fewer than 200 lines."""
    sizes = sorted(len(path.read_text().splitlines()) for path in MODULES if path.parts[-2] != "tests")
    assert sizes[len(sizes) // 2] < 200


# --- documents ------------------------------------------------------------------------------------------------------


def test_the_changelog_has_this_version() -> None:
    """There is an entry for the version of the package, with something under it."""
    entry = _text("CHANGELOG.md").partition(f"\n## [{__version__}]")[2].partition("\n## ")[0]
    assert "\n- " in entry


def test_the_readme_lists_every_command() -> None:
    """The table of commands has a row for each command, and for nothing else."""
    listed = {match[1] for row in _rows("README.md") if (match := re.match(r"`dnsd (\w+)", row[0]))}
    assert listed == set(cli.commands)


def test_the_readme_lists_every_exit_status() -> None:
    """The README's line of exit statuses has each of them."""
    line = _text("README.md").partition("\nExit status: ")[2].partition("\n\n")[0]
    assert [int(part.split()[0]) for part in re.split(r"; +", line.replace("\n", " "))] == [int(s) for s in ExitStatus]


def test_the_configuration_reference_lists_every_key() -> None:
    """Each table of the configuration has a section, with a row for each key and for nothing else."""
    documented: dict[str, set[str]] = {}
    for part in _text("docs/configuration.md").split("\n## ")[1:]:
        heading, _, body = part.partition("\n")
        documented[heading.strip("[]")] = set(re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE))
    tables: dict[str, type[schema.Section]] = {
        **schema.SINGLE_TABLES,
        **schema.REPEATED_TABLES,
        **schema.ADAPTER_TABLES,
        **schema.OPTIONAL_TABLES,
    }
    tables |= {"Top of the file": schema.TopSection, **NESTED_TABLES}
    assert documented == {name: set(table.model_fields) for name, table in tables.items()}


def test_the_configuration_reference_tells_required_keys_and_defaults() -> None:
    """A row says `required` where the key is, and a plain default as it is."""
    text = _text("docs/configuration.md")
    tables: dict[str, type[schema.Section]] = {
        **schema.SINGLE_TABLES,
        **schema.REPEATED_TABLES,
        **schema.ADAPTER_TABLES,
        **schema.OPTIONAL_TABLES,
        **NESTED_TABLES,
    }
    for name, table in tables.items():
        body = re.split(rf"\n## \[+{re.escape(name)}\]+\n", text)[1].partition("\n## ")[0]
        for key, field in table.model_fields.items():
            row = next(line for line in body.splitlines() if line.startswith(f"| `{key}` |"))
            default = row.split(" | ")[2]
            assert (default == "required") is field.is_required(), (name, key)
            if isinstance(field.default, bool):
                assert default == f"`{str(field.default).lower()}`", (name, key)
            elif isinstance(field.default, str | int):
                assert default.strip("`").strip('"') == str(field.default), (name, key)


def test_the_configuration_reference_tells_what_needs_a_restart() -> None:
    """The keys that a reload cannot change are those that the reference names."""
    text = _text("docs/configuration.md")
    sentence = text.partition("SIGHUP reloads everything but ")[2].partition("which need a restart")[0]
    assert set(re.findall(r"`([\w.]+)`", sentence)) == {key for key, _ in _FIXED}


def test_the_metrics_are_documented() -> None:
    """The table of metrics has each one with its labels, and nothing that is not there."""
    documented = {}
    for row in _rows("docs/operations.md"):
        if match := re.fullmatch(r"`(dnsd_\w+)(?:\{([\w,]+)\})?`", row[0]):
            documented[match[1]] = set((match[2] or "").split(",")) - {""}
    exposed: dict[str, set[str]] = {}
    text = Metrics(lambda: SAMPLE).render().decode()
    names = [name for name in re.findall(r"^# TYPE (dnsd_\w+)", text, re.MULTILINE) if not name.endswith("_created")]
    for name in names:
        labels = re.search(rf"^{name}(?:\{{(.*)\}})? ", text, re.MULTILINE)
        exposed[name] = set(re.findall(r'(\w+)="', labels[1] or "")) if labels else set()
    assert documented == exposed


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_a_document_names_only_metrics_that_exist(path: Path) -> None:
    """What looks like a metric in a document is one."""
    text = Metrics(lambda: SAMPLE).render().decode()
    assert [name for name in re.findall(r"`(dnsd_\w+)", path.read_text()) if f"# TYPE {name} " not in text] == []


def test_the_http_reference_lists_every_call() -> None:
    """The table of calls has each route, and nothing else."""
    rows = [row[0].strip("`") for row in _rows("docs/http-api.md")]
    listed = [row for row in rows if re.match(r"(GET|PUT|POST|DELETE) /", row)]
    assert sorted(listed) == sorted(f"{route.method} {route.path}" for route in ROUTES)


def test_the_http_reference_lists_every_problem() -> None:
    """The table of problems has each kind with its status, and nothing else."""
    section = _text("docs/http-api.md").partition("\n## Problems\n")[2]
    listed: set[tuple[int, str]] = set()
    for line in section.splitlines():
        if re.match(r"\| \d", line):
            cells = line.split("|")
            statuses = [int(text) for text in cells[1].split(",")]
            ids = re.findall(r"`([\w-]+)`", cells[2])
            listed |= {(statuses[min(place, len(statuses) - 1)], each) for place, each in enumerate(ids)}
    kinds = {value for value in vars(problems).values() if isinstance(value, Kind)} | set(KIND_OF.values())
    assert listed == {(kind.status, kind.id) for kind in kinds}


def test_every_rfc_that_the_code_speaks_of_has_a_status() -> None:
    """The table of RFCs has each one that a comment or docstring of the code names."""
    numbers: set[str] = set()
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] in ("admin", "dnsd"):
            numbers |= set(re.findall(r"\bRFC (\d+)", path.read_text()))
    listed = set(
        re.findall(r"\d{4}", " ".join(re.findall(r"^\| ([\d, ]+) \|", _text("docs/rfc-status.md"), re.MULTILINE)))
    )
    listed |= set(re.findall(r"\bRFC (\d{4})", _text("docs/rfc-status.md")))
    assert numbers
    assert sorted(numbers - listed) == []


def test_every_rfc_that_is_followed_has_its_place_in_the_code() -> None:
    """Each row of the table of RFCs names modules that exist; one of an RFC that is not followed names none."""
    lines = _text("docs/rfc-status.md").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if re.match(r"\| \d", line)]
    assert {row[2] for row in rows} == {"follows", "part", "not"}
    for number, _, status, _, where in rows:
        if status == "not":
            assert where == "\N{EN DASH}", number
        else:
            assert re.fullmatch(r"`[\w/]+\.py`(, `[\w/]+\.py`)*", where), number
            assert [path for path in re.findall(r"`(.+?)`", where) if not (ROOT / path).is_file()] == [], number


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_a_documents_links_and_files_are_there(path: Path) -> None:
    """Relative links lead to files, links to headings find them, and modules that are named exist."""
    text = path.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}, target
    for name in re.findall(r"(?<![\w/])((?:\w+/)+\w+\.py)\b", text):
        assert any((base / name).exists() for base in (ROOT, ROOT / "dnsd")), name


@pytest.mark.parametrize("path", RECORDS, ids=_name)
def test_a_decision_fits_on_a_screen(path: Path) -> None:
    """A record has context, decision and consequences, fits on a screen, and is in the index."""
    text = path.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= 45
    assert path.name in (path.parent / "README.md").read_text()
    assert text.startswith(f"# {int(path.name[:4])}. ")
