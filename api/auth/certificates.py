"""Certificates of machines: what one that is to be registered says, and the fingerprint by which it is known again.

Whether a certificate was signed by the configured authority is decided in the TLS handshake (`runtime.web`) and nowhere else; here it is
only read. What a header says of a certificate is never looked at.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from core.errors import Invalid


@dataclass(frozen=True, slots=True)
class Certificate:
    """`sha256` is that of the DER (hex), `subject` its name (RFC 4514), `not_after` when it ends, UTC."""

    sha256: str
    subject: str
    not_after: datetime


def read(pem: str) -> Certificate:
    """The first certificate in `pem`. Invalid when there is none."""
    try:
        found = x509.load_pem_x509_certificate(pem.encode())
        subject = found.subject.rfc4514_string()
    except ValueError as error:
        raise Invalid("this is no certificate in PEM (-----BEGIN CERTIFICATE-----)") from error
    return Certificate(fingerprint(found.public_bytes(Encoding.DER)), subject, found.not_valid_after_utc)


def fingerprint(der: bytes) -> str:
    """The SHA-256 of a certificate's DER, hex."""
    return hashlib.sha256(der).hexdigest()
