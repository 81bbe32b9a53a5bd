"""`--wait applied` on a terminal: who has applied an accepted change and who has not, while one waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dnsd.cli.output import clean, complain
from dnsd.model.times import format_duration

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dnsd.api.client import Client
    from dnsd.api.schemas import DrainOutcome
    from dnsd.cli.connection import Connection

# What the write itself waits for consumers, which mostly take milliseconds: only then is there something to watch.
# Unit: seconds.
FIRST_LOOK_SECONDS = 0.5

# How often the display is drawn, so that its time counts. Unit: per second.
REFRESHES_PER_SECOND = 4


def follow_applied(connection: Connection, outcome: DrainOutcome, *, wait_seconds: float, stands: str) -> DrainOutcome:
    """Show live who applies an accepted change, until all have or the time is over.

    Args:
        stands: what to say of the change where the wait is interrupted.

    Returns:
        The outcome with who has applied it by then.
    """
    from rich.live import Live

    began = time.monotonic()
    latest = outcome

    def look(progressed: DrainOutcome) -> None:
        nonlocal latest
        latest = progressed

    def drawn() -> RenderableType:
        return _drawn(latest, time.monotonic() - began)

    async def follow(client: Client) -> DrainOutcome:
        with Live(get_renderable=drawn, refresh_per_second=REFRESHES_PER_SECOND, transient=True):
            return await client.until_applied(outcome, wait_seconds=wait_seconds, progress=look)

    try:
        return connection.ask(follow)
    except KeyboardInterrupt:
        complain(f"interrupted; {stands}")
        raise


def _drawn(outcome: DrainOutcome, seconds: float) -> RenderableType:
    from rich.console import Group
    from rich.spinner import Spinner
    from rich.text import Text

    head = f"waiting until all have applied revision {outcome.revision}, {format_duration(seconds)}"
    lines = [Text(clean(f"  {each.consumer} ({each.kind}): applied"), style="green") for each in outcome.applied]
    lines += [
        Text(clean(f"  {each.consumer} ({each.kind}): at revision {each.applied_revision}"), style="yellow")
        for each in outcome.pending
    ]
    return Group(Spinner("dots", head), *lines)
