"""Certificates that a test makes for itself: signed by themselves, for the loopback addresses and one name."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

NAME = "ns1.example.org"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path) -> None:
        """Write `cert.pem` and `key.pem`."""
        (folder / "cert.pem").write_bytes(self.certificate)
        (folder / "key.pem").write_bytes(self.key)

    def trust(self, *protocols: str) -> ssl.SSLContext:
        """Return the context of a client that trusts this certificate alone.

        Args:
            protocols: what it offers by ALPN.
        """
        context = ssl.create_default_context(cadata=self.certificate.decode())
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


def make_pair(
    *,
    serial: int = 1,
    begins_in_days: float = -1,
    ends_in_days: float = 30,
    password: bytes = b"",
    rsa_bits: int = 0,
) -> Pair:
    """Make a certificate with a key of its own.

    Args:
        serial: tells one from another.
        password: encrypts the key.
        rsa_bits: of an RSA key; 0: one on the curve P-256, which is made much faster.
    """
    key = rsa.generate_private_key(65_537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    addresses = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now + dt.timedelta(days=begins_in_days))
        .not_valid_after(now + dt.timedelta(days=ends_in_days))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(NAME), *map(x509.IPAddress, addresses)]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    encryption: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    return Pair(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption),
    )


def serial_of(tls: ssl.SSLObject | ssl.SSLSocket) -> int:
    """Return the serial number of the certificate that a server has shown."""
    shown = tls.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number
