"""`dnsd serve`, `check` and `token`: the commands of the machine that the server runs on."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnsd.cli.connection import NODE, TextType, json_option
from dnsd.cli.failures import check_document
from dnsd.cli.output import clean
from dnsd.housekeeping import without_collector
from dnsd.model.node import HOLDER

if TYPE_CHECKING:
    from dnsd.config.settings import Settings

# Of randomness in a token; RFC 6750 §5.2 asks only that it cannot be guessed. Unit: bytes.
TOKEN_SIZE = 32

config_option = click.option(
    "--config",
    "config",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The configuration (TOML).",
)


@click.command()
@config_option
@json_option
def serve(config: Path, *, as_json: bool) -> None:
    """Run the server until SIGTERM; SIGHUP reloads the configuration and the zones.

    With --json, a configuration that is not used is reported as by `dnsd check --json`.
    """
    # Only here: the server's parts are no business of the other commands.
    with without_collector():
        from dnsd import daemon

    click.get_current_context().exit(daemon.serve(config))


@click.command()
@config_option
@json_option
def check(config: Path, *, as_json: bool) -> None:
    """Read a configuration and its zone files as the server would, and say everything that is wrong."""
    from dnsd.config.loading import load_settings
    from dnsd.openfiles import raise_limit

    raise_limit()  # as the server does
    settings = load_settings(config)
    if as_json:
        _print_json(check_document((), warnings=settings.warnings))
        return
    for warning in settings.warnings:
        click.echo(f"warning: {clean(warning)}", err=True)
    click.echo(f"{config}: ok; {_summary(settings)}")


def _summary(settings: Settings) -> str:
    from dnsd.core.zoneimage import count_records

    records = sum(count_records(zone) for zone in settings.zones.values())
    counts = {
        "zone": len(settings.zones),
        "record": records,
        "node": len(settings.nodes),
        "pool": len(settings.pools),
    }
    return ", ".join(f"{count} {thing}{'' if count == 1 else 's'}" for thing, count in counts.items())


def _actor(text: str) -> str:
    if not HOLDER.fullmatch(text):
        raise ValueError(f"{text!r} is not a name: letters, digits and _ . @ : -, beginning with a letter or digit")
    return text


@click.command(
    epilog="""\b
Examples:
  dnsd token alice
  dnsd token grafana --scope viewer
  dnsd token edge-1-agent --scope agent --node edge-1
  dnsd token router-1 --scope router --consumer router-1"""
)
@click.argument("name", type=TextType("name", _actor))
@click.option(
    "--scope",
    type=click.Choice(["operator", "viewer", "agent", "router"]),
    default="operator",
    show_default=True,
    help="viewer: read. operator: read, drain, change the inventory. agent: report for one node. "
    "router: read, and acknowledge drains.",
)
@click.option("--node", type=NODE, help="The one node that an agent speaks for.")
@click.option("--consumer", type=TextType("id", _actor), help="The one router, by its id, that a router speaks for.")
@json_option
def token(name: str, *, scope: str, node: str | None, consumer: str | None, as_json: bool) -> None:
    """Make a bearer token for NAME, who becomes the actor of what it does.

    The token is shown this once: the configuration keeps only its hash.
    """
    if (scope == "agent") != (node is not None):
        raise click.UsageError("--scope agent and --node go together: an agent's token names its node.")
    if consumer is not None and scope != "router":
        raise click.UsageError("--consumer is for --scope router: it names the router that the token speaks for.")
    secret = secrets.token_urlsafe(TOKEN_SIZE)
    sha256 = hashlib.sha256(secret.encode()).hexdigest()
    entry = {"name": name, "scope": scope, "node": node, "consumer": consumer, "sha256": sha256}
    if as_json:
        _print_json({"token": secret, **entry})
        return
    click.echo(f"token, shown this once: {secret}\n\nfor the server's configuration:\n")
    click.echo("[[admin.token]]")
    for key, value in entry.items():
        if value is not None:
            click.echo(f'{key} = "{value}"')


def _print_json(document: Mapping[str, object]) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
