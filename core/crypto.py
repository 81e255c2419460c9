"""Secrets: hashing passwords, making and checking tokens, the installation's own key.

- A password is hashed with argon2id (RFC 9106, second recommended option: 64 MiB, 3 passes). At most `_AT_ONCE` hashes run at a time, so
  that a flood of log-ins cannot eat the machine's memory.
- A token is 256 random bits, so its plain SHA-256 may be stored: there is nothing to guess.
- Comparisons take the same time whatever differs.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import secrets
import threading
import unicodedata
from pathlib import Path
from typing import Final

import argon2

from core.errors import ConfigError

_AT_ONCE = 4
_hasher: Final = argon2.PasswordHasher()
_slots: Final = threading.BoundedSemaphore(_AT_ONCE)


def hash_password(password: str) -> str:
    """The argon2id hash of `password`, with its own salt and parameters in it."""
    with _slots:
        return _hasher.hash(_same_spelling(password))


def verify_password(stored: str | None, password: str) -> bool:
    """Whether `password` is the one `stored` was made of.

    With `stored` None (no such user) the same work is done against a decoy and the answer is False, so that the time tells nothing.
    """
    against = _decoy() if stored is None else stored
    with _slots:
        try:
            matches = _hasher.verify(against, _same_spelling(password))
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
    return matches and stored is not None


def is_outdated(stored: str) -> bool:
    """Whether the hash `stored` was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


@functools.cache
def _decoy() -> str:
    return hash_password(token())


def _same_spelling(password: str) -> str:
    """Hangul typed on different systems arrives composed or decomposed: one spelling (RFC 8265, 4.2) is hashed."""
    return unicodedata.normalize("NFC", password)


def token() -> str:
    """A new secret of 256 random bits, as 64 hex digits."""
    return secrets.token_hex(32)


def digest(secret: str) -> str:
    """What is stored of a token: its SHA-256, hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def sign(key: bytes, purpose: str, text: str) -> str:
    """HMAC-SHA-256 of `text` under `key`, hex; `purpose` keeps signatures of one use from serving another."""
    return hmac.new(key, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


def installation_key(data_dir: Path, configured: str | None) -> bytes:
    """The key that signs: the configured one, else one made once and kept in `data_dir`, readable by its owner only.

    ConfigError when it cannot be kept there or is too short.
    """
    if configured is not None:
        if len(configured) < 32:
            raise ConfigError("api.secret_key", "must have at least 32 characters; `openssl rand -hex 32` makes one")
        return configured.encode()
    path = data_dir / "secret_key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        _create_once(path)
        return path.read_bytes()
    except OSError as error:
        raise ConfigError("api.secret_key", f"is not set, and {path} cannot be made or read: {error.strerror}") from error


def _create_once(path: Path) -> None:
    """Write a new key to `path` unless one is there; two processes starting at once agree on one, and none sees half a key."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
