"""The options that commands share, and how a command talks to its server."""

from __future__ import annotations

import functools
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dnsd.api.address import DEFAULT_SERVER, checked_server, checked_token
from dnsd.cli.failures import JSON_KEY
from dnsd.housekeeping import without_collector
from dnsd.model.node import NODE_ID
from dnsd.model.times import format_instant, parse_duration, parse_instant

if TYPE_CHECKING:
    from dnsd.api.client import Client

ResultT = TypeVar("ResultT")
Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Connection:
    """Which server a command talks to, and how it prints what it hears.

    Args:
        server: URL.
        token: bearer token or None.
        as_json: print the interface's documents.
    """

    server: str
    token: str | None
    as_json: bool

    def ask(self, work: Callable[[Client], Awaitable[ResultT]], *, timeout_seconds: float | None = None) -> ResultT:
        """Run one piece of work with a client and return its result.

        Args:
            timeout_seconds: for each request; None: the client's default.
        """
        # Only here: help, completion and usage errors do without the HTTP and schema libraries.
        with without_collector():
            import asyncio

            from dnsd.api.client import Client
            from dnsd.api.exchange import REQUEST_TIMEOUT_SECONDS

        async def run() -> ResultT:
            seconds = REQUEST_TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds
            async with Client(self.server, token=self.token, timeout_seconds=seconds) as client:
                return await work(client)

        return asyncio.run(run())


class TextType(click.ParamType[Any]):
    """A parameter that one function reads from text, raising ValueError with the reason.

    Args:
        name: how help shows it.
        read: from text to value.
    """

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the text; a value that is not text was read before."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _node(text: str) -> str:
    if not NODE_ID.fullmatch(text):
        raise ValueError(f"{text!r} is not a node id: one label of letters, digits, hyphens and underscores")
    return text


def _duration(text: str) -> float:
    seconds = parse_duration(text)
    if seconds <= 0 or not math.isfinite(seconds):
        raise ValueError(f"{text!r} is not a time that one can wait")
    return seconds


def _instant(text: str) -> float:
    try:
        instant = parse_instant(text)
    except ValueError as error:
        raise ValueError(f"{error}; for a time from now on, use --for 90m") from None
    try:
        format_instant(instant)
    except (ValueError, OverflowError, OSError):  # its offset leads out of the years that can be written
        raise ValueError(f"{text!r} is outside the years 1 to 9999 in UTC") from None
    return instant


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no UTF-8; JSON could not carry them
        raise ValueError("it is not text in UTF-8") from None
    return text


TEXT = TextType("text", _text)
NODE = TextType("node", _node)
DURATION = TextType("duration", _duration)
INSTANT = TextType("time", _instant)


def _remember_json(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.meta[JSON_KEY] = value
    return value


for_option = click.option(
    "--for", "for_seconds", type=DURATION, help="Until so long from now, as 90m. Default: the server's."
)
indefinite_option = click.option("--indefinite", is_flag=True, help="Until somebody releases it.")
mode_option = click.option(
    "--mode",
    type=click.Choice(["draining", "maintenance"]),
    default="draining",
    show_default=True,
    help="draining: no new work. maintenance: used for nothing.",
)
reason_option = click.option(
    "--reason", required=True, type=TEXT, metavar="TEXT", help="Why; shown to everybody who asks."
)

roles_option = click.option(
    "--role",
    "roles",
    multiple=True,
    type=TEXT,
    metavar="ROLE",
    help="Only this role; may be repeated. Without: all roles.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, is_eager=True, callback=_remember_json, help="Print JSON for programs."
)


def talks_to_server(command: Command) -> Command:
    """Give a command `--server`, `--token` and `--json`, and pass it a `Connection` as `connection`."""

    @json_option
    @click.option(
        "--server",
        envvar="DNSD_SERVER",
        default=DEFAULT_SERVER,
        show_default=True,
        show_envvar=True,
        metavar="URL",
        type=TextType("url", checked_server),
        help="The server's admin address; http:// may be left out.",
    )
    @click.option(
        "--token",
        envvar="DNSD_TOKEN",
        show_envvar=True,
        type=TextType("token", checked_token),
        help="Bearer token; the variable keeps it out of the process list.",
    )
    @functools.wraps(command)
    def with_connection(*args: Any, server: str, token: str | None, as_json: bool, **options: Any) -> Any:
        return command(*args, connection=Connection(server, token, as_json), **options)

    return with_connection


def refuse_together(given: Mapping[str, bool]) -> None:
    """Refuse options that exclude each other.

    Args:
        given: option → whether the command line has it.

    Raises:
        click.UsageError: two or more are given; it names them.
    """
    names = [name for name, present in given.items() if present]
    if len(names) > 1:
        raise click.UsageError(f"{' and '.join(names)} exclude each other: give one of them.")
