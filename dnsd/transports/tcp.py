"""DNS over a stream, which is TCP (RFC 7766) or TLS (RFC 7858): one connection's messages and their order.

Owns the framing of a connection. It must not know what is in a message, nor what is between it and the network.
"""

from __future__ import annotations

import time

from dnsd.core.via import Via
from dnsd.transports.conversation import ConnectionKeeper, Conversation, Turn
from dnsd.transports.limits import TcpLimits
from dnsd.transports.responder import Responder

LENGTH_BYTES = 2  # RFC 1035 §4.2.2

# Queries of one connection answered in a turn, so that it takes a fraction of a millisecond. Unit: queries.
QUERIES_PER_TURN = 32


class TcpConnection(Conversation):
    """One client's connection.

    Args:
        responder: answers each message.
        keeper: keeps all connections of the worker.
        via: what the connection is.
        limits: see `TcpLimits`.
        client: see `Conversation`.
    """

    def __init__(
        self, responder: Responder, keeper: ConnectionKeeper, *, via: Via, limits: TcpLimits, client: str = ""
    ) -> None:
        super().__init__(keeper, limits=limits, client=client)
        self._respond = responder.respond
        self._via = via
        self._answered = 0

    def _converse(self) -> Turn:
        """See `Conversation._converse`."""
        answers, used, finished = self._answer_some()
        # RFC 7766 §8: length and message "at the same time".
        return b"".join(answers), used, used > 0, finished

    def _answer_some(self) -> tuple[list[bytes], int, bool]:
        """Answer some of what was received, in the order of arrival.

        Returns:
            Framed answers, the bytes that were used, and whether the conversation is over.
        """
        received = self._received
        answers: list[bytes] = []
        used = size_of_answers = 0
        now = time.time()
        for _ in range(QUERIES_PER_TURN):
            start = used + LENGTH_BYTES
            if len(received) < start:
                break
            size = received[used] << 8 | received[used + 1]
            if size == 0:
                return answers, used, True  # no DNS message is empty: what follows cannot be framed either
            if len(received) < start + size:
                break
            used = start + size
            answer = self._respond(bytes(received[start:used]), now=now, via=self._via, peer=self.client)
            if answer is None:
                return answers, used, True  # whoever sends responses or rubbish has nothing to ask
            answers += (len(answer).to_bytes(LENGTH_BYTES, "big"), answer)
            size_of_answers += len(answer)
            self._answered += 1
            if self._answered >= self._limits.queries_per_connection:
                return answers, used, True
            if size_of_answers >= self._limits.unsent_bytes:
                break
        return answers, used, False

    def _has_more(self) -> bool:
        """See `Conversation._has_more`."""
        received = self._received
        if len(received) < LENGTH_BYTES:
            return False
        return len(received) >= LENGTH_BYTES + (received[0] << 8 | received[1])
