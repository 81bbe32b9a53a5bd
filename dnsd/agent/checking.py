"""What the values of an agent's configuration mean, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dnsd.agent.schema import AgentSection, HealthSection, HooksSection, NodeSection, SessionsSection
from dnsd.agent.settings import SESSION_KINDS, HealthCheck, SessionSource
from dnsd.agent.tokenfile import read_token
from dnsd.api.address import checked_server
from dnsd.api.schemas import NodeRequest
from dnsd.config.durations import check_duration
from dnsd.config.findings import Findings
from dnsd.config.locator import Path as Place
from dnsd.model.node import MAX_PORT, NODE_ID, ROLE, canonical_address

# A report more often than this is load without news; one in an hour is always stale. Unit: seconds.
LEAST_INTERVAL_SECONDS, MOST_INTERVAL_SECONDS = 0.1, 3600.0
LEAST_TIMEOUT_SECONDS, MOST_TIMEOUT_SECONDS = 0.05, 3600.0

# The path of a Unix socket, its final zero included, on Linux. Unit: bytes.
MAX_SOCKET_PATH_SIZE = 107

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\.?")


class Checker:
    """Turns sections into settings; problems go to the findings, and faulty values become any value.

    Args:
        folder: of the file, to which relative paths are relative.
    """

    def __init__(self, findings: Findings, *, folder: Path) -> None:
        self._findings = findings
        self._folder = folder

    def agent(self, section: AgentSection) -> dict[str, Any]:
        """Return the fields of `AgentSettings` that `[agent]` has."""
        if not NODE_ID.fullmatch(section.node):
            message = f"{section.node!r} cannot be a node: one DNS label of letters, digits, - and _"
            self._findings.problem(("agent", "node"), "bad-node-id", message=message)
        servers = []
        for index, text in enumerate(section.servers):
            try:
                servers.append(checked_server(text))
            except ValueError as error:
                self._findings.problem(("agent", "servers", index), "bad-url", message=str(error))
        socket = self._folder / section.socket
        if len(str(socket).encode()) > MAX_SOCKET_PATH_SIZE:
            message = f"a socket's path has at most {MAX_SOCKET_PATH_SIZE} bytes"
            self._findings.problem(("agent", "socket"), "bad-path", message=message)
        return {
            "node": section.node,
            "servers": tuple(dict.fromkeys(servers)),
            "token_file": self._token_file(section.token_file),
            "interval_seconds": self._duration(
                section.interval, ("agent", "interval"), LEAST_INTERVAL_SECONDS, MOST_INTERVAL_SECONDS
            ),
            "timeout_seconds": self._duration(section.timeout, ("agent", "timeout")),
            "drain_on_stop": section.drain_on_stop,
            "stop_deadline_seconds": self._duration(
                section.stop_deadline, ("agent", "stop_deadline"), most=30 * 86400.0
            ),
            "socket": socket,
            "state_file": self._folder / section.state_file,
        }

    def registration(self, section: NodeSection) -> NodeRequest:
        """Return with what the node is registered; the server has the last word on roles and labels."""
        for index, text in enumerate(section.addresses):
            try:
                canonical_address(text)
            except ValueError as error:
                self._findings.problem(("node", "addresses", index), "bad-address", message=str(error))
        for index, role in enumerate(section.roles):
            self._check_role(role, ("node", "roles", index), known=None)
        return NodeRequest(**section.model_dump(), monitor="agent")

    def hooks(self, section: HooksSection) -> dict[str, Any]:
        """Return the fields of `AgentSettings` that `[hooks]` has."""
        commands = {"drain": section.drain, "safe": section.safe, "return": section.return_}
        for name, command in commands.items():
            if command is not None:
                self._check_command(command, ("hooks", name, 0))
        return {
            "hooks": {name: tuple(command) for name, command in commands.items() if command is not None},
            "hook_timeout_seconds": self._duration(section.timeout, ("hooks", "timeout")),
        }

    def session(
        self, section: SessionsSection, place: Place, shapely: bool, *, roles: Collection[str] | None
    ) -> SessionSource:
        """Return a source of counts.

        Args:
            shapely: none of its keys was faulty, so that what is missing was never there.
            roles: the node's; None: the inventory has them.
        """
        self._check_role(section.role, (*place, "role"), known=roles)
        given = {
            "ports": section.ports is not None,
            "command": section.command is not None,
            "url": section.url is not None,
            "none": section.none,
        }
        if shapely:
            self._check_one(given, place)
        if section.path and section.url is None:
            self._findings.problem((*place, "path"), "path-without-url", message="a path leads into what a URL answers")
        self._check_probe(section.command, section.url, place)
        return SessionSource(
            role=section.role,
            kind=section.kind,
            timeout_seconds=self._duration(section.timeout, (*place, "timeout")),
            ports=frozenset(section.ports or ()),
            command=tuple(section.command or ()),
            url=section.url,
            path=tuple(section.path.split(".")) if section.path else (),
        )

    def health(
        self, section: HealthSection, place: Place, shapely: bool, *, roles: Collection[str] | None
    ) -> HealthCheck:
        """Return a health check; arguments as in `session`."""
        self._check_role(section.role, (*place, "role"), known=roles)
        given = {
            "tcp": section.tcp is not None,
            "command": section.command is not None,
            "url": section.url is not None,
        }
        if shapely:
            self._check_one(given, place)
        self._check_probe(section.command, section.url, place)
        return HealthCheck(
            role=section.role,
            timeout_seconds=self._duration(section.timeout, (*place, "timeout")),
            tcp=None if section.tcp is None else self._endpoint(section.tcp, (*place, "tcp")),
            command=tuple(section.command or ()),
            url=section.url,
        )

    def warn_of_uncounted(self, sources: Sequence[SessionSource], *, roles: Sequence[str]) -> None:
        """Warn of each role of which some kind is counted by nothing, since its node is never safe to stop."""
        for role in dict.fromkeys(roles):
            counted = {each.kind: index for index, each in enumerate(sources) if each.role == role}
            missing = [kind for kind in SESSION_KINDS if kind not in counted]
            if missing:
                place: Place = ("sessions", min(counted.values())) if counted else ("sessions",)
                message = (
                    f"nothing counts the {' and '.join(missing)} of {role}: unknown, and so the node is never safe to "
                    "stop; an entry with none = true says that there are none"
                )
                self._findings.warning(place, "uncounted-sessions", message=message)

    def _check_role(self, role: str, place: Place, *, known: Collection[str] | None) -> None:
        if not ROLE.fullmatch(role):
            self._findings.problem(place, "bad-role", message=f"{role!r} cannot be a role")
        elif known is not None and role not in known:
            self._findings.problem(place, "unknown-role", message=f"the node does not have the role {role!r}")

    def _check_one(self, given: dict[str, bool], place: Place) -> None:
        named = [name for name, present in given.items() if present]
        if len(named) != 1:
            what = f"{' and '.join(named)} exclude each other" if named else "nothing says how"
            self._findings.problem(place, "not-one-way", message=f"{what}: give one of {', '.join(given)}")

    def _check_probe(self, command: list[str] | None, url: str | None, place: Place) -> None:
        if command is not None:
            self._check_command(command, (*place, "command", 0))
        if url is None:
            return
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and _is_host(parts.hostname or "") and parts.port != 0
        except ValueError:
            good = False
        if not good:
            self._findings.problem((*place, "url"), "bad-url", message=f"{url!r} is not an http or https URL")

    def _check_command(self, command: list[str], place: Place) -> None:
        if not command[0] or any("\0" in word for word in command):
            self._findings.problem(place, "bad-command", message="names no program")

    def _endpoint(self, text: str, place: Place) -> tuple[str, int]:
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not _is_host(host) or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= MAX_PORT:
            self._findings.problem(place, "bad-endpoint", message=f"{text!r} is not HOST:PORT or [IPV6]:PORT")
            return "", 0
        return host, int(port)

    def _token_file(self, text: str | None) -> Path | None:
        if text is None:
            return None
        path = self._folder / text
        try:
            read_token(path)
        except ValueError as error:
            self._findings.problem(("agent", "token_file"), "bad-token-file", message=str(error))
        return path

    def _duration(
        self, text: str, place: Place, least: float = LEAST_TIMEOUT_SECONDS, most: float = MOST_TIMEOUT_SECONDS
    ) -> float:
        return check_duration(text, place, self._findings, least_seconds=least, most_seconds=most)


def _is_host(text: str) -> bool:
    """Say whether a text is an address, or a name that can be looked up."""
    try:
        ip_address(text)
    except ValueError:
        pass
    else:
        return True
    try:
        return _HOST.fullmatch(text.encode("idna").decode()) is not None
    except UnicodeError:
        return False
