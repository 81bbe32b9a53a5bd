"""From an agent's configuration file to its settings, or to every reason why it cannot be used.

It knows the file, and neither servers nor sessions.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from dnsd.agent.checking import Checker
from dnsd.agent.schema import (
    REPEATED_TABLES,
    SINGLE_TABLES,
    AgentSection,
    HealthSection,
    HooksSection,
    NodeSection,
    Section,
    SessionsSection,
    TopSection,
)
from dnsd.agent.settings import AgentSettings
from dnsd.config.findings import EXPECTED, Findings
from dnsd.config.locator import Path as Place
from dnsd.config.locator import locate_keys
from dnsd.errors import ConfigurationError, Problem

# A configuration of an agent is some kilobytes; what is larger was named by mistake. Unit: bytes.
MAX_FILE_SIZE = 1 << 20

SectionT = TypeVar("SectionT", bound=Section)

_SYNTAX_LINE = re.compile(r" \(at line (\d+), column \d+\)$")

# In the words of the file's author; pydantic has its own for the rest.
_EXPECTED = {**EXPECTED, "too_short": "should not be empty"}


def load_agent_settings(path: Path) -> AgentSettings:
    """Read and check an agent's configuration file.

    Args:
        path: the TOML file; relative paths in it are relative to its folder.

    Raises:
        ConfigurationError: with every problem of the file.
    """
    data, findings = _parse(path)
    reader = _Reader(data, findings)
    reader.top()
    checker = Checker(findings, folder=path.absolute().parent)
    fields: dict[str, Any] = {}
    if (agent := reader.table(AgentSection, "agent", required=True)) is not None:
        fields |= checker.agent(agent)
    node = reader.table(NodeSection, "node")
    if node is not None:
        fields["registration"] = checker.registration(node)
    if (hooks := reader.table(HooksSection, "hooks")) is not None:
        fields |= checker.hooks(hooks)
    roles = None if node is None else node.roles
    sessions = [checker.session(*each, roles=roles) for each in reader.tables(SessionsSection, "sessions")]
    health = [checker.health(*each, roles=roles) for each in reader.tables(HealthSection, "health")]
    if findings.problems:
        raise ConfigurationError(findings.problems)
    checker.warn_of_uncounted(
        sessions, roles=[*(roles or ()), *(each.role for each in sessions), *(each.role for each in health)]
    )
    warnings = tuple(map(str, findings.warnings))
    return AgentSettings(**fields, sessions=tuple(sessions), health=tuple(health), warnings=warnings)


def _parse(path: Path) -> tuple[dict[str, Any], Findings]:
    try:
        if not path.is_file():
            raise OSError("it is not a file" if path.exists() else "there is no such file")
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_SIZE + 1)
        if len(raw) > MAX_FILE_SIZE:
            raise OSError(f"it has more than {MAX_FILE_SIZE} bytes")
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _unusable(path, 0, "not-utf8", f"the file is not UTF-8 text (byte {error.start})") from None
    except (OSError, ValueError) as error:
        message = f"the file cannot be read: {getattr(error, 'strerror', None) or error}"
        raise _unusable(path, 0, "unreadable", message) from None
    try:
        return tomllib.loads(text), Findings(str(path), locate_keys(text))
    except (RecursionError, ValueError) as error:
        where = _SYNTAX_LINE.search(str(error))
        line = int(where[1]) if where else text.rstrip().count("\n") + 1
        raise _unusable(path, line, "toml-syntax", f"not TOML: {_SYNTAX_LINE.sub('', str(error))}") from None


def _unusable(path: Path, line: int, problem_id: str, message: str) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), line, "", problem_id, message)])


class _Reader:
    """Validates the tables of a file one by one; what is wrong with their shape goes to the findings."""

    def __init__(self, data: Mapping[str, Any], findings: Findings) -> None:
        self._data = data
        self._findings = findings

    def top(self) -> None:
        tables = {*SINGLE_TABLES, *REPEATED_TABLES}
        keys = {key: value for key, value in self._data.items() if key not in tables}
        self._read(TopSection, keys, (), known=tables)

    def table(self, model: type[SectionT], name: str, *, required: bool = False) -> SectionT | None:
        """Return a table; None: it is missing. Its faulty keys have their defaults."""
        value = self._data.get(name)
        if value is None and not required:
            return None
        if not isinstance(value, dict):
            message = "the table is missing" if value is None else "should be a table"
            self._findings.problem((name,), "missing-key" if value is None else "wrong-type", message=message)
            return None
        return self._read(model, value, (name,))

    def tables(self, model: type[SectionT], name: str) -> Iterator[tuple[SectionT, Place, bool]]:
        """Yield the items of an array of tables, each with its place and whether its shape is good."""
        value = self._data.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self._findings.problem((name,), "wrong-type", message=f"should be an array of tables, [[{name}]]")
            return
        for index, item in enumerate(value):
            before = len(self._findings.problems)
            section = self._read(model, item, (name, index))
            if section is not None:
                yield section, (name, index), len(self._findings.problems) == before

    def _read(
        self, model: type[SectionT], data: Mapping[str, Any], place: Place, *, known: set[str] | None = None
    ) -> SectionT | None:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        names = [field.alias or name for name, field in model.model_fields.items()]
        for detail in details:
            self._findings.misshapen(
                (*place, *detail["loc"]),
                detail["type"],
                detail["msg"],
                known=[*names, *(known or ())],
                expected=_EXPECTED,
            )
        faulty = {detail["loc"][0] for detail in details if detail["loc"]}
        if any(field.is_required() and name in faulty for name, field in model.model_fields.items()):
            return None
        # What is good of it is still checked for its meaning: nobody should mend a file once per mistake.
        good = {key: value for key, value in data.items() if key not in faulty and key in names}
        return model.model_validate(good)
