"""A router's word at the servers whose HTTP interface it follows: that it lives, and how far its view has come.

unheard ──taken──► heard ──each 2 s again, and at once what has been obeyed──► heard ──goodbye──► forgotten
   ▲                 │
   └── refused (its token, an older server, another's id): told once, tried again after 30 s

It owns what is said, to whom, and in which order. What has been obeyed, whoever keeps the view says.
"""

from __future__ import annotations

import asyncio
import logging

from dnsd.api.client import Client
from dnsd.api.errors import ApiError, ClientError, ServerUnreachable, UnexpectedAnswer
from dnsd.api.schemas import ConsumerOutcome, ConsumerRequest
from dnsd.router.server_standing import ASK_SECONDS, NOTHING, Word

log = logging.getLogger("dnsd.router")

# How often the router says that it lives; one that is silent for 10 s is not waited for. Unit: seconds.
HEARTBEAT_SECONDS = 2.0

# After a refusal: somebody may have changed what it is about. Unit: seconds.
REFUSED_SECONDS = 30.0

# A word that is on its way when the router leaves a server is waited for: behind a goodbye it would bring the router
# back. Unit: seconds.
LAST_WORD_SECONDS = 1.0

# For a goodbye. Unit: seconds.
GOODBYE_SECONDS = 2.0

# What to do about a refusal, by its status.
_ADVICE = {
    403: 'give the router a token with the scope "router" that speaks for this id (dnsd token NAME --scope router)',
    404: "the server is an older dnsd: upgrade it",
    405: "the server is an older dnsd, or something before it lets no PUT through",
    409: "give the router an id of its own ([router] id)",
}
_UNKNOWN_TOKEN = 401

# Answers that say nothing of the router: asked again, it may be taken. So may it be after any of 500 and above.
_PASSING = (408, 425, 429)


class Announcer:
    """Speaks for one router, with one server at a time.

    Args:
        id: the consumer's; two of one id hide each other.
        token: that is sent with a goodbye.
        word_seconds: how long to wait for the answer to a word.

    Attributes:
        obeyed: how far the view has come, as far as the server's own word for it is known.
        acknowledged: the revision that the server has our word for; 0: none.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - as the store calls it
        *,
        token: str | None,
        word_seconds: float = ASK_SECONDS,
    ) -> None:
        self.obeyed = NOTHING
        self.acknowledged = 0
        self._id = id
        self._token = token
        self._word_seconds = word_seconds
        self._turn = asyncio.Lock()  # a word must not overtake an older one
        self._lost: tuple[Client, ServerUnreachable] | None = None  # with whom the last word was lost, and why
        self._sending: asyncio.Task[ConsumerOutcome] | None = None
        self._said_at = 0.0  # on the clock of the event loop, as is what follows
        self._refused_until: dict[str, float] = {}
        self._told: dict[str, str] = {}
        self._heard_by: set[str] = set()

    async def go_on(self, client: Client) -> None:
        """Go on saying to a server that the router lives, until cancelled; then nothing is on its way.

        Raises:
            ClientError: as `say`; whoever hears no word would take the router as silent soon.
        """
        loop = asyncio.get_running_loop()
        self._said_at = loop.time()
        try:
            while True:
                left = self._said_at + HEARTBEAT_SECONDS - loop.time()
                if left > 0:
                    await asyncio.sleep(left)
                else:
                    await self.say(client)
        finally:
            if self._sending is not None:
                await asyncio.wait((self._sending,), timeout=LAST_WORD_SECONDS)
                self._sending.cancel()

    async def say(self, client: Client) -> Word | None:
        """Say to a server what has been obeyed.

        Returns:
            How far the server is itself: what it lists from then on is of that revision, or of a later one. None: it
            does not take the router's word now, which is logged once.

        Raises:
            ClientError: it cannot be reached, or knows no such token.
        """
        async with self._turn:
            if self._lost is not None and self._lost[0] is client:
                raise self._lost[1]  # who waited for this turn need not wait for another word to run out of time
            self._said_at = now = asyncio.get_running_loop().time()
            if self._refused_until.get(client.server, now) > now:
                return None
            request = ConsumerRequest(kind="router", applied_revision=self.obeyed.revision, mark=self.obeyed.mark)
            self._heard_by.add(client.server)  # from here on it may have it, whatever comes back
            self._sending = asyncio.create_task(
                client.announce_consumer(self._id, request, timeout_seconds=self._word_seconds)
            )
            try:
                outcome = await asyncio.shield(self._sending)
            except (ApiError, UnexpectedAnswer) as error:
                self._not_taken(client.server, error, now=now)
                return None
            except ServerUnreachable as error:
                self._lost = client, error
                raise
            self._taken(client.server, outcome)
            return Word(outcome.revision, outcome.mark)

    async def leave(self) -> None:
        """Tell every server that has its word that the router has ended, so that nobody waits for it."""
        await asyncio.gather(*(self._leave(server) for server in self._heard_by))

    async def _leave(self, server: str) -> None:
        try:
            async with Client(server, token=self._token, timeout_seconds=GOODBYE_SECONDS) as client:
                await client.forget_consumer(self._id)
        except ClientError as error:
            log.debug("no goodbye: %s", error)  # the silence is noticed

    def _taken(self, server: str, outcome: ConsumerOutcome) -> None:
        self.acknowledged = outcome.applied_revision
        self._refused_until.pop(server, None)
        if self._told.pop(server, None) is not None:
            log.info("%s takes the router's word again: drains are acknowledged", server)

    def _not_taken(self, server: str, error: ApiError | UnexpectedAnswer, *, now: float) -> None:
        """Take note of an answer that is no yes.

        Raises:
            ApiError: no such token is known, so that nothing else is answered either.
        """
        status = error.problem.status if isinstance(error, ApiError) else error.status
        if status == _UNKNOWN_TOKEN:
            raise error
        if status < 500 and status not in _PASSING:
            self.acknowledged = 0
            self._refused_until[server] = now + REFUSED_SECONDS
            self._heard_by.discard(server)
        reason = f"{error}; {_ADVICE[status]}" if status in _ADVICE else str(error)
        if self._told.get(server) != reason:
            self._told[server] = reason
            log.warning(
                "%s does not take the word of the router %s, so that drains are obeyed and not acknowledged: "
                "nobody waits for it, and `safe to stop` leaves it out: %s",
                server, self._id, reason,
            )  # fmt: skip
