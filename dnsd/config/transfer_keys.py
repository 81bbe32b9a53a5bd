"""The secrets that are shared with secondaries (TSIG, RFC 8945): their names, algorithms, and where each is kept.

No message repeats what stands in the place of a secret.
"""

from __future__ import annotations

import base64
import binascii
import stat
from pathlib import Path

from dnsd.config.document import Entry
from dnsd.config.findings import Findings, suggestion
from dnsd.config.owner_names import qualified
from dnsd.config.schema import TransferKeySection
from dnsd.config.transfer import DIGEST_BYTES, TransferKey
from dnsd.core import names
from dnsd.zonefile.files import read_regular, why_unreadable

# Refused by name, so that nobody takes them for slips of the pen (RFC 8945 §6).
_WEAK = frozenset({"hmac-md5", "hmac-md5.sig-alg.reg.int", "hmac-md5.sig-alg.reg.int.", "hmac-sha1"})


class TransferKeys:
    """The keys that were read so far.

    Args:
        findings: for what is wrong.
        folder: what relative paths are relative to.
    """

    def __init__(self, findings: Findings, folder: Path) -> None:
        self.found: dict[bytes, TransferKey] = {}
        self.complete = True  # there is no key beside those in `names`
        self.names: dict[bytes, str] = {}  # of good and faulty ones: both are declared
        self._findings = findings
        self._folder = folder

    def add(self, entry: Entry[TransferKeySection]) -> None:
        """Check one `[[transfer.key]]`."""
        name = self._name(entry)
        algorithm = self._algorithm(entry)
        secret = self._secret(entry)
        if secret and algorithm and len(secret) < DIGEST_BYTES[algorithm]:
            # HMAC takes any length, and is no stronger than its secret.
            bits = f"{8 * len(secret)} bits, and {algorithm} makes {8 * DIGEST_BYTES[algorithm]}"
            place = entry.at("secret" if entry.section.secret is not None else "secret_file")
            self._findings.warning(place, "short-secret", message=f"the secret is easier to guess than need be: {bits}")
        if name is not None and algorithm and secret:
            self.found[name] = TransferKey(name=name, algorithm=algorithm, secret=secret)

    def _name(self, entry: Entry[TransferKeySection]) -> bytes | None:
        if not entry.good("name"):
            self.complete = False
            return None
        text, place = entry.section.name, entry.at("name")
        try:
            name = names.from_text(qualified(text))
        except ValueError as error:
            self.complete = False
            self._findings.problem(place, "bad-name", message=str(error))
            return None
        if name in self.names:
            self._findings.problem(place, "duplicate-key", message=f'there is a key named "{text}" already')
            return None
        self.names[name] = text
        return name

    def _algorithm(self, entry: Entry[TransferKeySection]) -> str:
        """Return the algorithm's name; empty: it is none that is used."""
        if not entry.good("algorithm"):
            return ""
        text = entry.section.algorithm.lower()
        if text in DIGEST_BYTES:
            return text
        place, known = entry.at("algorithm"), list(DIGEST_BYTES)
        if text in _WEAK:
            message = f"{text} is too weak; one of {', '.join(known)}"
            self._findings.problem(place, "weak-algorithm", message=message)
        else:
            message = f"{text!r} is none of {', '.join(known)}{suggestion(text, known=known)}"
            self._findings.problem(place, "unknown-algorithm", message=message)
        return ""

    def _secret(self, entry: Entry[TransferKeySection]) -> bytes:
        """Return the secret; empty: it cannot be read, and no message tells what stands in its place."""
        if not entry.good("secret", "secret_file"):
            return b""
        text, file = entry.section.secret, entry.section.secret_file
        if text is not None and file is not None:
            message = "a key has a secret or a secret_file, not both"
            self._findings.problem(entry.at("secret_file"), "two-secrets", message=message)
            return b""
        if file is not None:
            place, text = entry.at("secret_file"), self._read(file, entry)
        else:
            place = entry.at("secret")
            if text is None:
                message = 'a key needs a "secret" or a "secret_file"'
                self._findings.problem(place, "missing-key", message=message)
        return b"" if text is None else self._decoded(text, place)

    def _read(self, file: str, entry: Entry[TransferKeySection]) -> str | None:
        place = entry.at("secret_file")
        path = self._folder / file
        try:
            text = read_regular(path).decode("ascii", "replace").strip()
            open_to_others = bool(path.stat().st_mode & stat.S_IROTH)
        except (OSError, ValueError) as error:
            self._findings.problem(place, "unreadable", message=f"{path} cannot be read: {why_unreadable(error)}")
            return None
        if open_to_others:
            message = f"everybody on this machine can read {path}, and sign with it: chmod o-r"
            self._findings.warning(place, "secret-open", message=message)
        return text

    def _decoded(self, text: str, place: tuple[str | int, ...]) -> bytes:
        try:
            secret = base64.b64decode(text.encode("ascii"), validate=True)
        except (UnicodeEncodeError, binascii.Error):
            secret = b""
        if not secret:
            message = "should be a secret in base64, as `openssl rand -base64 32` prints one"
            self._findings.problem(place, "bad-secret", message=message)
        return secret
