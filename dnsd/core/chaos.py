"""What the server says of itself in class CH: `version.bind` and the like, and `id.server` (RFC 4892)."""

from __future__ import annotations

from dnsd.core.answer import Answer, Kind
from dnsd.core.constants import ANY, CLASS_CH, TXT
from dnsd.core.policy import AnswerPolicy
from dnsd.core.records import RRset
from dnsd.core.wire import RECORD_FIXED

_VERSION_NAMES = frozenset({b"\x07version\x04bind\x00", b"\x07version\x06server\x00"})
_ID_NAMES = frozenset({b"\x02id\x06server\x00", b"\x08hostname\x04bind\x00"})

# RFC 4892 §2 asks that an answer is not passed on to another client. Unit: seconds.
_TTL = 0


class ChaosRRset(RRset):
    """An RRset of class CH."""

    __slots__ = ()

    def record_tail(self, rdata: bytes) -> bytes:
        """See `RRset.record_tail`."""
        return RECORD_FIXED.pack(self.rdtype, CLASS_CH, self.ttl, len(rdata)) + rdata


def chaos_answer(policy: AnswerPolicy, qname: bytes, qtype: int) -> Answer | None:
    """Answer a question of class CH; None: there is nothing to say.

    Args:
        qname: folded.
    """
    text = ""
    if qname in _VERSION_NAMES:
        text = policy.version_text
    elif qname in _ID_NAMES:
        text = policy.id_text
    if not text:
        return None
    answer = Answer(kind=Kind.NODATA, authoritative=True)
    if qtype in (TXT, ANY):
        said = text.encode()
        answer.kind = Kind.DATA
        answer.answer.append((qname, ChaosRRset(TXT, _TTL, (bytes((len(said),)) + said,))))
    return answer
