"""What an agent remembers over a restart, in a small file: its place in the order of reports, and what it was told.

A file that cannot be read is no reason not to run: the agent begins anew, and the server tells it where it was.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dnsd.api.schemas import MAX_INTEGER, ModeName

FORMAT_VERSION = 1

# So many sequence numbers are taken at once, so that the file need not be written with each report. Unit: reports.
RESERVED = 1000


@dataclass(slots=True)
class Memory:
    """What is remembered.

    Args:
        sequence: the highest that any report may have had.
        revision: of the last desired state; None: none was heard.
        modes: role → the mode that it is to have.
        hooked: role → the mode that its hooks have ended for.
        safe_told: roles whose `safe` hook has run for this drain.
        local_drains: roles that the agent itself has drained; `*`: all.
        announced: the last run said that it would end.
    """

    sequence: int = 0
    revision: int | None = None
    modes: dict[str, ModeName] = field(default_factory=dict)
    hooked: dict[str, ModeName] = field(default_factory=dict)
    safe_told: set[str] = field(default_factory=set)
    local_drains: set[str] = field(default_factory=set)
    announced: bool = False


class _Document(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal[1]
    node: str
    sequence: Annotated[int, Field(ge=0, le=MAX_INTEGER)]
    revision: int | None = None
    modes: dict[str, ModeName] = {}
    hooked: dict[str, ModeName] = {}
    safe_told: set[str] = set()
    local_drains: set[str] = set()
    announced: bool = False


class StateFile:
    """The file of one node's agent.

    Args:
        node: whose; a file of another is not believed.
    """

    def __init__(self, path: Path, *, node: str) -> None:
        self._path = path
        self._node = node
        self._written = b""

    def load(self) -> Memory | None:
        """Return what is remembered; None: there is no file yet.

        Raises:
            ValueError: the file cannot be used; the message says why.
        """
        try:
            document = _Document.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"{self._path} cannot be read: {error.strerror}") from None
        except ValidationError:
            raise ValueError(f"{self._path} is damaged") from None
        if document.node.lower() != self._node.lower():
            raise ValueError(f"{self._path} is of the node {document.node}")
        values = document.model_dump(exclude={"version", "node"})
        return Memory(**values)

    def save(self, memory: Memory) -> None:
        """Write what is to be remembered, where that has changed. Either the old file is there or the new one.

        Raises:
            OSError: it cannot be written.
        """
        data = json.dumps(_as_json(memory, self._node), indent=1).encode()
        if data == self._written:
            return
        beside = self._path.with_name(f"{self._path.name}.new")
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
        self._written = data


def _as_json(memory: Memory, node: str) -> Mapping[str, object]:
    return {
        "version": FORMAT_VERSION,
        "node": node,
        "sequence": memory.sequence,
        "revision": memory.revision,
        "modes": memory.modes,
        "hooked": memory.hooked,
        "safe_told": sorted(memory.safe_told),
        "local_drains": sorted(memory.local_drains),
        "announced": memory.announced,
    }
