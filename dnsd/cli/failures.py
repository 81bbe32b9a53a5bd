"""From what went wrong to an exit status and a line on standard error: the one place that knows both."""

from __future__ import annotations

import enum
import json
import os
import traceback

import click

from dnsd.api.errors import ApiError, ServerUnreachable
from dnsd.cli.output import Column, absolute, clean, complain, show_json, show_table
from dnsd.errors import ConfigurationError, DnsdError, Problem

# In the environment: print the traceback of what nobody foresaw.
DEBUG_VARIABLE = "DNSD_DEBUG"

# Under this key, the contexts of one command line share whether it asked for JSON.
JSON_KEY = "dnsd.json"


class ExitStatus(enum.IntEnum):
    """What the command says to its caller; stable, and documented in the group's help."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    TIMED_OUT = 4
    CONFLICT = 5
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it


# The server's answers: by the problem's id first, then by its HTTP status; any other is FAILED.
EXIT_OF_PROBLEM = {"capacity-floor": ExitStatus.REFUSED}
EXIT_OF_HTTP_STATUS = {400: ExitStatus.USAGE, 409: ExitStatus.CONFLICT, 412: ExitStatus.CONFLICT}

# Everything else that is raised on purpose, the first that fits.
EXIT_OF_ERROR: tuple[tuple[type[Exception], ExitStatus], ...] = (
    (ConfigurationError, ExitStatus.USAGE),
    (DnsdError, ExitStatus.FAILED),
)

# What to do about it, in the words of this command line.
HINT_OF_PROBLEM = {"capacity-floor": "--force places it all the same"}
HINT_OF_HTTP_STATUS = {401: "give a token with --token or DNSD_TOKEN"}

_IMPACT_COLUMNS = tuple(Column(title) for title in ("POOL", "AT", "SERVING BEFORE", "SERVING THEN", "FLOOR", "HOLDS"))


def exit_status_of(error: Exception) -> ExitStatus:
    """Return the exit status that an error ends the command with."""
    if isinstance(error, ApiError):
        by_status = EXIT_OF_HTTP_STATUS.get(error.problem.status, ExitStatus.FAILED)
        return EXIT_OF_PROBLEM.get(error.problem.id, by_status)
    return next((status for kind, status in EXIT_OF_ERROR if isinstance(error, kind)), ExitStatus.FAILED)


def report(error: Exception, *, as_json: bool) -> ExitStatus:
    """Say what went wrong and return the exit status.

    Args:
        as_json: where the error is a document of the interface, or problems of a configuration, print that document
            to standard output besides.
    """
    if isinstance(error, ApiError):
        _report_refusal(error, as_json=as_json)
    elif isinstance(error, ConfigurationError):
        report_problems(error.problems, as_json=as_json)
    elif isinstance(error, ServerUnreachable):
        complain(str(error), hint=None if error.sent else "is it running? --server or DNSD_SERVER names another")
    elif isinstance(error, DnsdError):
        complain(str(error))
    else:
        _report_unforeseen(error)
    return exit_status_of(error)


def report_problems(problems: tuple[Problem, ...], *, as_json: bool) -> None:
    """Say what is wrong with a configuration: a line for each problem, and with `as_json` the document of `check`."""
    for problem in problems:
        click.echo(clean(str(problem)), err=True)
    if as_json:
        click.echo(json.dumps(check_document(problems, warnings=()), indent=2, ensure_ascii=False))


def check_document(problems: tuple[Problem, ...], *, warnings: tuple[str, ...]) -> dict[str, object]:
    """Return what `dnsd check --json` prints."""
    members = ("file", "line", "place", "id", "message")
    rows = [{member: getattr(problem, member) for member in members} for problem in problems]
    return {"ok": not problems, "problems": rows, "warnings": list(warnings)}


def _report_refusal(error: ApiError, *, as_json: bool) -> None:
    problem = error.problem
    hint = HINT_OF_PROBLEM.get(problem.id) or HINT_OF_HTTP_STATUS.get(problem.status)
    field = f" (field {problem.field})" if problem.field and problem.field not in problem.detail else ""
    complain(f"{problem.detail}{field} [{problem.id}]", hint=hint)
    if problem.impact:
        rows = [
            (
                row.pool,
                "now" if row.at is None else absolute(row.at),
                str(row.serving_before),
                f"{row.serving_after}{', empty' if row.empties else ''}",
                row.floor,
                "yes" if row.ok else "no",
            )
            for row in problem.impact
        ]
        show_table(_IMPACT_COLUMNS, rows, err=True)
    if as_json:
        show_json(problem)


def _report_unforeseen(error: Exception) -> None:
    if os.environ.get(DEBUG_VARIABLE, "") not in ("", "0"):
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        return
    said = f": {error}" if str(error) else ""
    complain(f"unexpected {type(error).__name__}{said}", hint=f"{DEBUG_VARIABLE}=1 shows the traceback")
