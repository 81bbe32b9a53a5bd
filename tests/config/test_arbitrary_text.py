"""Whatever a configuration file holds, loading it ends in settings or in problems."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsd.config.loading import load_settings
from dnsd.config.locator import locate_keys
from dnsd.config.schema import (
    ADAPTER_TABLES,
    OPTIONAL_TABLES,
    REPEATED_TABLES,
    SINGLE_TABLES,
    Section,
    TokenSection,
    TopSection,
    TransferKeySection,
    TransferSecondarySection,
)
from dnsd.errors import ConfigurationError, Problem
from tests.config.files import write

ONCE = {**SINGLE_TABLES, **ADAPTER_TABLES, **OPTIONAL_TABLES}
NESTED: list[type[Section]] = [TokenSection, TransferKeySection, TransferSecondarySection]
MODELS: list[type[Section]] = [*ONCE.values(), *REPEATED_TABLES.values(), *NESTED, TopSection]
KEYS = sorted(
    {"token", "key", "secondary", "unknown", "labels", "region", *ONCE, *REPEATED_TABLES}.union(
        *(model.model_fields for model in MODELS)
    )
)
WORDS = ["edge", "example.org.", "{id}.example.org", "zone", "pool:a.example.org", "a.example.org", "4h", "50%", "::1"]
WORDS += ["127.0.0.1:53", "memory://", "sqlite://./x", "{region}", "", "\n", "é\0", "agent", "check", ".", "*."]

scalars = st.one_of(
    st.sampled_from(WORDS).map(json.dumps),
    st.text(max_size=5).map(lambda text: json.dumps(text).replace("\x7f", "")),
    st.integers(-3, 2**40).map(str),
    st.sampled_from(
        ["true", "false", "nan", "inf", "1.5", "2020-01-01", "12:00:00", "1979-05-27T07:32:00Z", "0x" + "f" * 9000]
    ),
)


def _inline(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    table = st.dictionaries(st.sampled_from(KEYS), children, max_size=3)
    arrays = st.lists(children, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
    return arrays | table.map(lambda pairs: "{" + ", ".join(f"{key} = {value}" for key, value in pairs.items()) + "}")


values = st.recursive(scalars, _inline, max_leaves=5)
pairs = st.dictionaries(st.sampled_from(KEYS), values, max_size=6).map(
    lambda found: "".join(f"{key} = {value}\n" for key, value in found.items())
)
headers = st.sampled_from(
    [f"[{name}]\n" for name in ONCE]
    + [f"[[{name}]]\n" for name in REPEATED_TABLES]
    + [
        "[[admin.token]]\n",
        "[[transfer.key]]\n",
        "[[transfer.secondary]]\n",
        "[node.labels]\n",
        "[pool.match.labels]\n",
    ]
)
documents = st.tuples(pairs, st.lists(st.tuples(headers, pairs), max_size=5)).map(
    lambda parts: "version = 1\n" + parts[0] + "".join(header + body for header, body in parts[1])
)


def _problems(folder: Path, text: str) -> list[Problem]:
    """Load a text; return why it is refused, if it is."""
    try:
        load_settings(write(folder, text))
    except ConfigurationError as error:
        return list(error.problems) or [Problem("", -1, "", "", "refused without a reason")]
    return []


def _loads_or_is_refused(folder: Path, text: str) -> None:
    file = str(folder / "config.toml")
    last = text.count("\n") + 1
    assert all(0 <= problem.line <= last for problem in _problems(folder, text) if problem.file in (file, ""))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from("abv=1.\"'[]{}\n #\\,é\r-_\t"), max_size=60))
def test_arbitrary_text_is_refused_with_problems(tmp_path: Path, text: str) -> None:
    """Text that is hardly ever TOML raises nothing but ConfigurationError."""
    _loads_or_is_refused(tmp_path, text)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=documents)
def test_arbitrary_values_under_known_keys_are_refused_with_problems(tmp_path: Path, text: str) -> None:
    """Known tables and keys with values of any type raise nothing but ConfigurationError."""
    _loads_or_is_refused(tmp_path, text)


@settings(max_examples=200, deadline=None)
@given(text=documents)
def test_every_top_key_of_arbitrary_toml_is_located(text: str) -> None:
    """What TOML accepts, the locator finds."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = locate_keys(text)
    assert set(data) <= {path[0] for path in lines}
