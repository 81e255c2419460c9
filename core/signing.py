"""The centre's own signature: Ed25519 (RFC 8032), one key pair of the installation.

The private key is a file (PKCS #8 PEM, mode 0600) that is made when it is first needed. What is signed says itself what it is, so that a
signature of one kind of thing is none of another: `statement` puts the kind in front. Whoever verifies needs the public key from somewhere
he trusts, not from what he verifies; `key_id` names it for people.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

from core.errors import FileError, Invalid
from core.key_files import write_new

_ID_DIGITS: Final = 16


class Verifier:
    """One public key."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    @classmethod
    def of(cls, text: str) -> Verifier:
        """The key whose 32 bytes `text` is (base64); Invalid when it is none."""
        try:
            return cls(Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True)))
        except (ValueError, binascii.Error) as error:
            raise Invalid("a public key of ours is 32 bytes in base64, as `bongsu audit key` prints it") from error

    @property
    def text(self) -> str:
        """The key's 32 bytes, base64."""
        return base64.b64encode(self._key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    @property
    def key_id(self) -> str:
        """Sixteen hex digits that name the key."""
        return key_id(self.text)

    def verifies(self, kind: str, content: bytes, signature: str) -> bool:
        """Whether `signature` (base64) was made with this key for `content` as a thing of this `kind`."""
        try:
            self._key.verify(base64.b64decode(signature, validate=True), statement(kind, content))
        except (InvalidSignature, ValueError, binascii.Error):
            return False
        return True


class Signer(Verifier):
    """A key pair."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        super().__init__(key.public_key())
        self._private = key

    def sign(self, kind: str, content: bytes) -> str:
        """The signature (base64) of `content` as a thing of this `kind`."""
        return base64.b64encode(self._private.sign(statement(kind, content))).decode()


def key_id(text: str) -> str:
    """Sixteen hex digits that name the public key whose 32 bytes `text` is (base64)."""
    return hashlib.sha256(base64.b64decode(text)).hexdigest()[:_ID_DIGITS]


def statement(kind: str, content: bytes) -> bytes:
    """What is signed: the kind, a zero byte, the SHA-256 of the content."""
    return b"bongsu " + kind.encode() + b"\0" + hashlib.sha256(content).digest()


def load_signer(file: Path) -> Signer:
    """The key pair kept in `file`, which is made when it is missing. FileError when it cannot be read, made, or is something else."""
    try:
        if not file.exists():
            _make(file)
        key = load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise FileError(file, f"is not a signing key that can be used: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise FileError(file, "holds a key of another kind: Ed25519 is needed")
    return Signer(key)


def _make(file: Path) -> None:
    write_new(file, Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
