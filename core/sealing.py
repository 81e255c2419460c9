"""Secrets that must be read again, such as those of second factors, sealed with a key of the installation (AES-256-GCM, SP 800-38D).

A sealed text is bound to what it is of (`place`): copied into another row, it does not open. The key is a file of 32 random bytes in hex
(mode 0600), made when it is first needed, and stands nowhere in the database: who has only a copy of that can read nothing sealed.
"""

from __future__ import annotations

import base64
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import FileError
from core.key_files import write_new

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Sealer:
    """Seals and opens with one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, place: str, secret: str) -> str:
        """`secret` sealed for `place`, base64."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, secret.encode(), place.encode())).decode()

    def open(self, place: str, sealed: str) -> str | None:
        """What was sealed for `place`; None when it was sealed with another key, for another place, or was changed."""
        try:
            content = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, ValueError):
            return None


def load_sealer(file: Path) -> Sealer:
    """The sealer whose key `file` holds; it is made when missing. FileError when it cannot be read, made, or holds something else."""
    try:
        if not file.exists():
            write_new(file, secrets.token_hex(_KEY_BYTES).encode())
        key = bytes.fromhex(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise FileError(file, f"is not a key for secrets that can be used: {error}") from error
    if len(key) != _KEY_BYTES:
        raise FileError(file, f"holds no key for secrets: {_KEY_BYTES} bytes in hex are needed")
    return Sealer(key)
