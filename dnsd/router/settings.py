"""What a router's configuration says, checked: the form in which the service reads it, and the file's tables and keys.

The file is TOML, `version = 1`; `router.example.toml` shows every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field

from dnsd.config.schema import Duration, Section
from dnsd.model.endpoint import Endpoint
from dnsd.router.selection import DEFAULT_POLICY, RolePolicy
from dnsd.router.tokens import Signer
from dnsd.router.urls import UrlTemplate

DEFAULT_LISTEN = "127.0.0.1:8054"


class RouterSection(Section):
    """`[router]`."""

    id: str | None = None
    listen: list[str] = Field([DEFAULT_LISTEN])
    stale_after: Duration = "30s"
    session_factor: Annotated[float, Field(gt=1.0, le=100.0)] | None = None


class RouterStoreSection(Section):
    """`[store]`, as a server's has it."""

    url: str
    prefix: str = "dnsd"
    state_file: str | None = None


class RouterServerSection(Section):
    """`[server]`: where no store is shared."""

    urls: Annotated[list[str], Field(min_length=1)]
    token_file: str | None = None


class RouterSessionsSection(Section):
    """`[sessions]`."""

    secret_file: str
    lifetime: Duration = "7d"


class RouterRoleSection(Section):
    """`[[role]]`."""

    name: str
    url: str | None = None
    redirect: bool = False
    fallback: str | None = None
    fail_open: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSettings:
    """What holds for a role.

    Args:
        url: None: its nodes have no URL here.
        redirects: 307 is the answer, unless a request asks for JSON.
        fallback_url: where to send clients while all nodes are drained; None: nowhere.
    """

    policy: RolePolicy = DEFAULT_POLICY
    url: UrlTemplate | None = None
    redirects: bool = False
    fallback_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings:
    """A router's configuration.

    Args:
        store_url: None: it follows `servers`.
        servers: URLs; empty: it follows the store.
        signer: None: sessions get no tokens.
        warnings: what is odd but serves, a line each.
    """

    id: str
    listen: tuple[Endpoint, ...]
    stale_after_seconds: float
    session_factor: float | None
    store_url: str | None
    store_prefix: str
    state_file: Path | None
    servers: tuple[str, ...]
    server_token: str | None
    signer: Signer | None
    roles: Mapping[str, RoleSettings] = field(default_factory=dict)
    folder: Path
    warnings: tuple[str, ...] = ()
