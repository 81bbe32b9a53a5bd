"""A primary server for secondaries: answers those who ask, and goes to them with what is new."""

from __future__ import annotations

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.transfer.endpoint import TransferEndpoint
from dnsd.adapters.transfer.outreach import Outreach
from dnsd.config.transfer import TransferSettings
from dnsd.errors import StartError
from dnsd.together import until_one_ends


class Primary:
    """The adapter of `[transfer]`.

    Args:
        context: its surroundings; the plane keeps versions of the zones where the configuration has that table.
    """

    def __init__(self, context: AdapterContext[TransferSettings]) -> None:
        versions, far = context.plane.versions, context.plane.secondaries
        if versions is None or far is None:
            raise StartError("no versions of zones are kept: restart the server with [transfer]")
        self._versions = versions
        self._endpoint = TransferEndpoint(context, versions)
        self._outreach = Outreach(context, versions, far)

    async def run(self) -> None:
        """See `Adapter.run`."""
        self._versions.on_version.append(self._outreach.made)
        try:
            # The first to end has failed: the whole is started anew.
            await until_one_ends(self._endpoint.run(), self._outreach.run())
        finally:
            self._versions.on_version.remove(self._outreach.made)
