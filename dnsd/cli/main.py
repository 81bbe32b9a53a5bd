"""The command `dnsd`: its group, and the one place where whatever a command raises becomes an exit status."""

from __future__ import annotations

import errno
import sys
from typing import Any, TextIO

import click

from dnsd import __version__
from dnsd.cli.agent import agent
from dnsd.cli.drain import drain, undrain
from dnsd.cli.explain import explain
from dnsd.cli.failures import JSON_KEY, ExitStatus, report
from dnsd.cli.lists import consumers, drains, history, nodes, pools
from dnsd.cli.router import router
from dnsd.cli.serve import check, serve, token
from dnsd.cli.status import status


class ReportingGroup(click.Group):
    """A group that ends with the exit status that fits what its command raised."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; usage errors stay click's own, which exit with 2 as well."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(ExitStatus.INTERRUPTED)
        except Exception as error:  # the outermost frame: no traceback reaches an operator
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # click ends quietly when the reader of a pipe has left
            ctx.exit(report(error, as_json=ctx.meta.get(JSON_KEY, False)))


@click.group(
    cls=ReportingGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  dnsd serve --config config.toml
  dnsd drain edge-1 --role edge --reason "kernel update" --wait applied
  dnsd status edge-1
  dnsd undrain edge-1

\b
Exit status: 0 done; 1 failed (server unreachable, store down, unknown node);
2 usage or configuration; 3 refused by the capacity guard; 4 timed out waiting
(the drain stands, or may stand where no answer came); 5 conflict;
130 interrupted.

\b
Completion: eval "$(_DNSD_COMPLETE=bash_source dnsd)" in ~/.bashrc; zsh_source
and fish_source likewise. DNSD_DEBUG=1 shows the traceback of an unexpected error.""",
)
@click.version_option(__version__, prog_name="dnsd")
def cli() -> None:
    """Run dnsd, and take nodes of its fleet out of DNS and back."""


for command in (
    serve,
    check,
    token,
    nodes,
    pools,
    drains,
    consumers,
    history,
    drain,
    undrain,
    status,
    explain,
    agent,
    router,
):
    cli.add_command(command)


def main() -> int:
    """Run the command line of this process and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_encode(stream)
    try:
        cli(prog_name="dnsd")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitStatus.FAILED
    return ExitStatus.DONE


def _never_fail_to_encode(stream: TextIO) -> None:
    # A terminal without UTF-8 gets escapes for the few characters that it lacks, not an error.
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
