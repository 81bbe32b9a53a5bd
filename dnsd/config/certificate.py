"""The certificate and key of DNS over TLS and HTTPS, read from their files and judged.

They are read here once, in the control process: workers get their bytes, and need no right to the files.
"""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dnsd.config.document import Entry
from dnsd.config.findings import Findings
from dnsd.config.schema import AdapterSection, TlsSection
from dnsd.config.settings import Certificate
from dnsd.model.times import format_instant
from dnsd.transports.identity import DOT_PROTOCOLS, context_of
from dnsd.zonefile.files import read_regular, why_unreadable

if TYPE_CHECKING:
    from cryptography.x509 import Certificate as Leaf


# Of a table with the keys `certificate` and `key`.
Holder = Entry[TlsSection] | Entry[AdapterSection]


class _Files(NamedTuple):
    certificate: bytes
    key: bytes


def check_certificate(tls: Holder, findings: Findings, *, folder: Path, needed_by: str) -> Certificate | None:
    """Return the certificate with its key; problems go to the findings.

    Args:
        folder: what relative paths are relative to.
        needed_by: the key that cannot be served without it, as `tls.listen`; empty: none.
    """
    if not tls.good("certificate", "key"):
        return None
    missing = [key for key in ("certificate", "key") if getattr(tls.section, key) is None]
    if missing and (needed_by or len(missing) == 1):
        for key in missing:
            why = f"{needed_by} needs it" if needed_by else "the one is of no use without the other"
            findings.problem(tls.at(key), "missing-key", message=f'the key "{key}" is missing: {why}')
    files = _read_files(tls, findings, folder=folder)
    return None if files is None else _judge(files, tls, findings)


def _read_files(tls: Holder, findings: Findings, *, folder: Path) -> _Files | None:
    found: list[bytes] = []
    for key in ("certificate", "key"):
        text = getattr(tls.section, key)
        if text is None:
            continue
        path = (folder / text).absolute()
        try:
            found.append(read_regular(path))
        except (OSError, ValueError) as error:
            message = f"{path} cannot be read: {why_unreadable(error)}"
            findings.problem(tls.at(key), "unreadable", message=message)
    return _Files(*found) if len(found) == len(_Files._fields) else None


def _judge(files: _Files, tls: Holder, findings: Findings) -> Certificate | None:
    """Say what is wrong with a pair in words of its own; what the library says of the rest is rarely of help."""
    from cryptography import x509  # a large library, for those who need it

    try:
        leaf = x509.load_pem_x509_certificates(files.certificate)[0]
    except ValueError as error:
        leaf, message = None, f"it holds no certificate in PEM form: {_first_line(error)}"
        findings.problem(tls.at("certificate"), "bad-certificate", message=message)
    fault = _fault_of_key(files.key, leaf)
    if fault is not None:
        problem_id, message = fault
        findings.problem(tls.at("key"), problem_id, message=message)
    if leaf is None or fault is not None:
        return None
    try:
        context_of(files.certificate, files.key, protocols=DOT_PROTOCOLS)  # as the workers will
    except ssl.SSLError as error:
        findings.problem(
            tls.at("certificate"), "bad-certificate", message=f"it cannot be used: {error.reason or error}"
        )
        return None
    _warn_of_time(leaf, tls, findings)
    return Certificate(certificate=files.certificate, key=files.key, expires_at=leaf.not_valid_after_utc.timestamp())


def _fault_of_key(key: bytes, leaf: Leaf | None) -> tuple[str, str] | None:
    """Return the id and the message of what is wrong with a key; None: nothing."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        public = load_pem_private_key(key, password=None).public_key()
    except TypeError:  # what the library raises for want of a password
        return "key-encrypted", "the key is encrypted, and there is nobody to ask for its password"
    except (ValueError, UnsupportedAlgorithm) as error:
        return "bad-key", f"it holds no private key in PEM form: {_first_line(error)}"

    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf is not None and public.public_bytes(*form) != leaf.public_key().public_bytes(*form):
        return "key-mismatch", "the key is not that of the certificate"
    return None


def _warn_of_time(leaf: Leaf, tls: Holder, findings: Findings) -> None:
    now = time.time()
    begins, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    place = tls.at("certificate")
    if ends <= now:
        findings.warning(place, "certificate-expired", message=f"the certificate has expired: {format_instant(ends)}")
    elif begins > now:
        message = f"the certificate is not valid before {format_instant(begins)}"
        findings.warning(place, "certificate-not-yet-valid", message=message)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
