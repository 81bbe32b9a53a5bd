"""What both sides of the HTTP interface have to agree on, and no document carries."""

from __future__ import annotations

# The most that a server holds a request with `wait=applied`; what goes beyond, the client waits itself. Unit: seconds.
MAX_WAIT_SECONDS = 60.0
