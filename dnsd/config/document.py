"""From TOML text to sections of the right shape: syntax, unknown and missing keys, types.

A section with a fault is kept with its good fields, so that the checks of meaning can report what else is wrong: no
operator should mend a file five times to hear of five mistakes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Generic, TypeVar, cast

from pydantic import ValidationError

from dnsd.config.findings import EXPECTED, Findings
from dnsd.config.locator import Path, locate_keys
from dnsd.config.schema import (
    ADAPTER_TABLES,
    OPTIONAL_TABLES,
    REPEATED_TABLES,
    SINGLE_TABLES,
    AdapterSection,
    AdminSection,
    CheckSection,
    CookiesSection,
    DohSection,
    DrainSection,
    HealthSection,
    NodeRecordSection,
    NodeSection,
    PoolSection,
    ProxySection,
    RateLimitSection,
    Section,
    ServerSection,
    StoreSection,
    TcpSection,
    TlsSection,
    TokenSection,
    TopSection,
    TransferKeySection,
    TransferSecondarySection,
    TransferSection,
    ZoneSection,
)
from dnsd.errors import ConfigurationError, Problem
from dnsd.zonefile.files import read_regular, why_unreadable

SectionT = TypeVar("SectionT", bound=Section)

# In the words of the file's author; pydantic has its own for the rest.
_EXPECTED = {**EXPECTED, "model_type": EXPECTED["dict_type"]}

_SYNTAX_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Entry(Generic[SectionT]):
    """A section, and where it stands.

    Args:
        section: its fields; one that is faulty has its default, is missing, or is a list with faulty items in it.
        path: of its table.
        faulty: fields about which a problem is already reported.
    """

    section: SectionT
    path: Path
    faulty: frozenset[str] = frozenset()

    def good(self, *fields: str) -> bool:
        """Say whether all these fields are there and of the right type."""
        return not self.faulty.intersection(fields)

    def texts(self, field: str) -> list[tuple[int, str]]:
        """Return the good items of a list of text with their indices, whatever the others are."""
        value = getattr(self.section, field, None)
        return [(index, item) for index, item in enumerate(value or ()) if isinstance(item, str)]

    def at(self, *keys: str | int) -> Path:
        """Return the path of a key in it."""
        return (*self.path, *keys)


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration file's sections."""

    top: Entry[TopSection]
    server: Entry[ServerSection]
    cookies: Entry[CookiesSection]
    rate_limit: Entry[RateLimitSection]
    tcp: Entry[TcpSection]
    tls: Entry[TlsSection]
    https: Entry[DohSection]
    proxy: Entry[Section]
    admin: Entry[AdminSection]
    store: Entry[StoreSection]
    drain: Entry[DrainSection]
    health: Entry[HealthSection]
    tokens: tuple[Entry[TokenSection], ...]
    zones: tuple[Entry[ZoneSection], ...]
    nodes: tuple[Entry[NodeSection], ...]
    node_records: tuple[Entry[NodeRecordSection], ...]
    pools: tuple[Entry[PoolSection], ...]
    checks: tuple[Entry[CheckSection], ...]
    adapters: Mapping[str, Entry[AdapterSection]]  # those whose table is there, by its name
    transfer: Entry[TransferSection] | None  # None: the table is not there
    transfer_keys: tuple[Entry[TransferKeySection], ...]
    transfer_secondaries: tuple[Entry[TransferSecondarySection], ...]


def parse_toml(path: FilePath) -> tuple[dict[str, Any], Findings]:
    """Read a TOML file.

    Returns:
        Its tables, and empty findings that know its lines.

    Raises:
        ConfigurationError: it cannot be read or is not TOML.
    """
    try:
        text = read_regular(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unusable(path, 0, "not-utf8", f"the file is not UTF-8 text (byte {error.start})") from None
    except (OSError, ValueError) as error:
        raise _unusable(path, 0, "unreadable", f"the file cannot be read: {why_unreadable(error)}") from None
    try:
        return tomllib.loads(text), Findings(str(path), locate_keys(text))
    except RecursionError:
        raise _unusable(path, 0, "toml-syntax", "arrays or tables are nested too deeply") from None
    except ValueError as error:
        where = _SYNTAX_LINE.search(str(error))
        end = text.rstrip().count("\n") + 1
        line = 0 if where is None else int(where[1] or end)
        message = f"not TOML: {_SYNTAX_LINE.sub('', str(error))}"
        raise _unusable(path, line, "toml-syntax", message) from None


def _unusable(path: FilePath, line: int, problem_id: str, message: str) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), line, "", problem_id, message)])


def read_document(data: Mapping[str, Any], findings: Findings) -> Document:
    """Turn TOML tables into sections; what is wrong with their shape goes to the findings."""
    tables = {*SINGLE_TABLES, *REPEATED_TABLES, *OPTIONAL_TABLES, *ADAPTER_TABLES}
    top = {key: value for key, value in data.items() if key not in tables}
    reader = SectionReader(data, findings)
    admin = dict(reader.table("admin"))
    tokens = admin.pop("token", [])
    transfer = dict(reader.table("transfer"))
    keys, secondaries = transfer.pop("key", []), transfer.pop("secondary", [])
    return Document(
        top=reader.entry(TopSection, top, (), known=tables),
        server=reader.entry(ServerSection, reader.table("server"), ("server",)),
        cookies=reader.entry(CookiesSection, reader.table("cookies"), ("cookies",)),
        rate_limit=reader.entry(RateLimitSection, reader.table("rate_limit"), ("rate_limit",)),
        tcp=reader.entry(TcpSection, reader.table("tcp"), ("tcp",)),
        tls=reader.entry(TlsSection, reader.table("tls"), ("tls",)),
        https=reader.entry(DohSection, reader.table("https"), ("https",)),
        proxy=reader.entry(ProxySection, reader.table("proxy"), ("proxy",)),
        admin=reader.entry(AdminSection, admin, ("admin",), known={"token"}),
        store=reader.entry(StoreSection, reader.table("store"), ("store",)),
        drain=reader.entry(DrainSection, reader.table("drain"), ("drain",)),
        health=reader.entry(HealthSection, reader.table("health"), ("health",)),
        tokens=reader.entries(TokenSection, tokens, ("admin", "token")),
        zones=reader.entries(ZoneSection, data.get("zone", []), ("zone",)),
        nodes=reader.entries(NodeSection, data.get("node", []), ("node",)),
        node_records=reader.entries(NodeRecordSection, data.get("node_record", []), ("node_record",)),
        pools=reader.entries(PoolSection, data.get("pool", []), ("pool",)),
        checks=reader.entries(CheckSection, data.get("check", []), ("check",)),
        adapters={
            name: reader.entry(section, reader.table(name), (name,))
            for name, section in ADAPTER_TABLES.items()
            if name in data
        },
        transfer=reader.entry(TransferSection, transfer, ("transfer",), known={"key", "secondary"})
        if "transfer" in data
        else None,
        transfer_keys=reader.entries(TransferKeySection, keys, ("transfer", "key")),
        transfer_secondaries=reader.entries(TransferSecondarySection, secondaries, ("transfer", "secondary")),
    )


class SectionReader:
    """Validates the tables of a document one by one."""

    def __init__(self, data: Mapping[str, Any], findings: Findings) -> None:
        self._data = data
        self._findings = findings

    def table(self, name: str) -> dict[str, Any]:
        """Return a table as it stands; an empty one where there is none."""
        value = self._data.get(name, {})
        if isinstance(value, dict):
            return value
        self._findings.problem((name,), "wrong-type", message=f"should be a table, [{name}]")
        return {}

    def entries(self, model: type[SectionT], value: object, path: Path) -> tuple[Entry[SectionT], ...]:
        """Return an entry for each item; one that is no table is all faulty, so that nobody takes it for missing."""
        items = value if isinstance(value, list) else [value]
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in items):
            header = ".".join(str(part) for part in path)
            self._findings.problem(path, "wrong-type", message=f"should be an array of tables, [[{header}]]")
        places = [(*path, index) for index in range(len(items))] if isinstance(value, list) else [path]
        return tuple(
            self.entry(model, item, place)
            if isinstance(item, dict)
            else Entry(_unchecked(model, {}), place, frozenset(model.model_fields))
            for item, place in zip(items, places, strict=True)
        )

    def entry(
        self, model: type[SectionT], data: Mapping[str, Any], path: Path, *, known: Iterable[str] = ()
    ) -> Entry[SectionT]:
        """Return the entry of one table.

        Args:
            path: where it stands.
            known: keys that may stand in it beside the section's own, for a suggestion.
        """
        try:
            return Entry(model.model_validate(data), path)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        faulty: set[str] = set()
        unusable: set[str] = set()
        for detail in details:
            field = str(detail["loc"][0]) if detail["loc"] else ""
            faulty.add(field)
            if len(detail["loc"]) < 2 or not isinstance(detail["loc"][1], int):
                unusable.add(field)
            place = (*path, *detail["loc"])
            self._findings.misshapen(
                place, detail["type"], detail["msg"], known=[*model.model_fields, *known], expected=_EXPECTED
            )
        good = {key: value for key, value in data.items() if key not in unusable}
        return Entry(_unchecked(model, good), path, frozenset(faulty))


def _unchecked(model: type[SectionT], fields: Mapping[str, Any]) -> SectionT:
    """Return a section with these fields as they are, and the defaults of others that have one."""
    return cast(SectionT, model.model_construct(None, **fields))  # what mypy's plugin takes for a mere Section
