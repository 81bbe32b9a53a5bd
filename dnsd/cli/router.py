"""`dnsd router`: the command of the machine that a router runs on."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dnsd.cli.connection import json_option
from dnsd.cli.failures import check_document
from dnsd.cli.output import clean
from dnsd.cli.serve import config_option
from dnsd.housekeeping import without_collector


@click.command()
@config_option
@click.option("--check", is_flag=True, help="Only read the configuration, and say everything that is wrong.")
@json_option
def router(config: Path, *, check: bool, as_json: bool) -> None:
    """Run a router until SIGTERM: it tells clients over HTTP which node to use, and obeys drains.

    With --json, a configuration that is not used is reported as by `dnsd check --json`.
    """
    # Only here: the router's parts are no business of the other commands.
    with without_collector():
        from dnsd.router.loading import load_router_settings
        from dnsd.router.running import run

    settings = load_router_settings(config)
    if not check:
        click.get_current_context().exit(run(settings))
    if as_json:
        click.echo(json.dumps(check_document((), warnings=settings.warnings), indent=2, ensure_ascii=False))
        return
    for warning in settings.warnings:
        click.echo(f"warning: {clean(warning)}", err=True)
    click.echo(f"{config}: ok")
