"""TSIG with keys (RFC 8945): judging a request's signature, and signing the messages of its response.

dnspython makes the digests. It knows no sockets, and the time as it is told.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import dns.name
import dns.tsig
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.TSIG import TSIG as TsigData  # noqa: N811 - a class beside the number of its type

from dnsd.config.transfer import DIGEST_BYTES, TransferKey
from dnsd.core import names
from dnsd.core.constants import CLASS_ANY, FORMERR, HEADER_SIZE, TSIG
from dnsd.core.tsig import BADKEY, Tsig
from dnsd.core.wire import RECORD_FIXED
from dnsd.errors import MessageError

# RFC 8945 §3: what a response's TSIG says of the request's.
BADSIG = 16
BADTIME = 18
BADTRUNC = 22

FUDGE_SECONDS = 300  # RFC 8945 §10 recommends it

# RFC 8945 §5.2.2.1: a MAC with fewer bytes, or less than half of the digest, is malformed.
LEAST_MAC_BYTES = 10

_Digest = dns.tsig.HMACTSig | dns.tsig.GSSTSig

_TIME = struct.Struct("!HI")  # 48 bits in two parts
_COUNT = struct.Struct("!H")
_ARCOUNT = HEADER_SIZE - _COUNT.size
_FIXED_BYTES = 16  # of the RDATA, beside algorithm, MAC and other data


class Signer:
    """Signs the messages of one response, one after the other.

    Args:
        key: shared with the client.
        request: the TSIG of its request.
        clock: gives seconds since the epoch.
    """

    def __init__(self, key: TransferKey, request: Tsig, *, clock: Callable[[], float]) -> None:
        self._request = request
        self._clock = clock
        algorithm = dns.name.from_text(key.algorithm)
        self._key = dns.tsig.Key(dns.name.from_wire(key.name, 0)[0], key.secret, algorithm)
        self._digest: _Digest | None = None
        # RFC 8945 §5.3: what a signature adds to a message is kept free in it. Unit: bytes.
        self.size = (
            len(request.key)
            + RECORD_FIXED.size
            + len(self._key.algorithm.to_wire() or b"")
            + _FIXED_BYTES
            + DIGEST_BYTES[key.algorithm]
        )

    def expected_mac(self, packet: bytes) -> bytes:
        """Return the whole MAC that the request must have.

        Args:
            packet: the request, with its TSIG.
        """
        request = self._request
        count = int.from_bytes(packet[_ARCOUNT:HEADER_SIZE], "big") - 1
        unsigned = packet[:_ARCOUNT] + _COUNT.pack(count) + packet[HEADER_SIZE : request.start]
        blank = self._blank(other=request.other, fudge_seconds=request.fudge_seconds)
        signed, _ = self._signed(unsigned, blank, at=request.signed_at)
        mac: bytes = signed.mac
        return mac

    def sign(self, message: bytes) -> bytes:
        """Return the next message with its TSIG.

        RFC 8945 §5.3.1 lets up to 99 messages between two go unsigned, and recommends to sign every one.
        """
        signed, self._digest = self._signed(
            message, self._blank(), at=int(self._clock()), mac=self._request.mac, before=self._digest, multi=True
        )
        return self._with(message, signed)

    def sign_error(self, message: bytes, error: int) -> bytes:
        """Return the only message of a response that says what is wrong with the request's TSIG.

        RFC 8945 §5.2.3: for BADTIME it has the client's time and fudge, so that the client can verify it, and the
        server's time in its other data.
        """
        request = self._request
        if error == BADTIME:
            now = int(self._clock())
            other = _TIME.pack(now >> 32 & 0xFFFF, now & 0xFFFFFFFF)
            blank = self._blank(error=error, other=other, fudge_seconds=request.fudge_seconds)
            signed_at = request.signed_at
        else:
            blank = self._blank(error=error)
            signed_at = int(self._clock())
        signed, _ = self._signed(message, blank, at=signed_at, mac=request.mac)
        return self._with(message, signed)

    def _signed(
        self,
        message: bytes,
        blank: TsigData,
        *,
        at: int,
        mac: bytes | None = None,
        before: _Digest | None = None,
        multi: bool = False,
    ) -> tuple[TsigData, _Digest | None]:
        """Return a TSIG with its MAC, and in a row of several the digest to begin the next one with.

        Args:
            at: seconds since the epoch.
            mac: the request's, for what begins a response.
            before: of the message before.
        """
        signed: tuple[TsigData, _Digest | None] = dns.tsig.sign(  # type: ignore[no-untyped-call]  # dnspython has no types here
            message, self._key, blank, at, mac, before, multi
        )
        return signed

    def _blank(self, *, error: int = 0, other: bytes = b"", fudge_seconds: int = FUDGE_SECONDS) -> TsigData:
        return TsigData(  # type: ignore[no-untyped-call]  # nor here
            RdataClass.ANY,
            RdataType.TSIG,
            self._key.algorithm,
            0,
            fudge_seconds,
            b"",
            # RFC 8945 §5.3: a response is signed with the ID that the request had before any forwarder.
            self._request.original_id,
            error,
            other,
        )

    def _with(self, message: bytes, signed: TsigData) -> bytes:
        rdata = signed.to_wire() or b""
        count = int.from_bytes(message[_ARCOUNT:HEADER_SIZE], "big") + 1
        head = message[:_ARCOUNT] + _COUNT.pack(count) + message[HEADER_SIZE:]
        return head + self._request.key + RECORD_FIXED.pack(TSIG, CLASS_ANY, 0, len(rdata)) + rdata


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a request's TSIG is worth.

    Args:
        error: the TSIG error to answer with; 0: it is good.
        key: what it is signed with, where that is sure.
        signer: for the response; None: it goes unsigned (RFC 8945 §5.3.2: of BADKEY and BADSIG).
    """

    error: int = 0
    key: TransferKey | None = None
    signer: Signer | None = None


def verify(packet: bytes, tsig: Tsig, keys: Mapping[bytes, TransferKey], *, clock: Callable[[], float]) -> Verdict:
    """Judge the TSIG of a request, in the order of RFC 8945 §5.2: key, MAC, time, truncation.

    Args:
        packet: the request.
        tsig: as it was read of it.
        keys: by folded name.

    Raises:
        MessageError: FORMERR; a MAC of a size that none may have (§5.2.2.1), or an error in a request.
    """
    # RFC 8945 §4.2: "In requests, this MUST be zero."
    if tsig.error:
        raise MessageError(FORMERR, "TSIG of a request that tells of an error")
    key = keys.get(tsig.key.lower())
    # One of the truncated algorithms (`hmac-sha256-128`) is another algorithm, and no key here has one.
    if key is None or tsig.algorithm.lower() != names.from_text(key.algorithm):
        return Verdict(BADKEY)
    whole = DIGEST_BYTES[key.algorithm]
    if not max(LEAST_MAC_BYTES, whole // 2) <= len(tsig.mac) <= whole:
        raise MessageError(FORMERR, "MAC of a size that none may have")
    signer = Signer(key, tsig, clock=clock)
    if not hmac.compare_digest(signer.expected_mac(packet)[: len(tsig.mac)], tsig.mac):
        return Verdict(BADSIG)
    # RFC 8945 §5.2.3 would also have requests refused that are older than the last one of the same key. Not here: the
    # secondaries that share a key have each a clock, and what a replay would get goes to its own address.
    if abs(tsig.signed_at - int(clock())) > tsig.fudge_seconds:
        return Verdict(BADTIME, key, signer)
    if len(tsig.mac) < whole:
        return Verdict(BADTRUNC, key, signer)
    return Verdict(0, key, signer)
