"""How the agent's log looks: with time and level on a terminal, with the journal's priorities under systemd."""

from __future__ import annotations

import logging
import os
import sys

# sd-daemon(3): the number that begins a line is its priority.
_PRIORITY = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class JournalFormatter(logging.Formatter):
    """Puts its priority before each line; the journal has the time."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        priority = next((number for level, number in _PRIORITY if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def set_up_logging() -> None:
    """Log to standard error, in the form that its reader wants."""
    handler = logging.StreamHandler(sys.stderr)
    if "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
