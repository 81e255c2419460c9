"""Secrets: hashing passwords, making and checking tokens.

- A password is hashed with argon2id (RFC 9106, second recommended option: 64 MiB, 3 passes). At most `_AT_ONCE` hashes run at a time, so
  that a flood of log-ins cannot eat the machine's memory.
- A token is 256 random bits, so its plain SHA-256 may be stored: there is nothing to guess.
- Comparisons take the same time whatever differs.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
import threading
import unicodedata
from typing import Final

import argon2

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


def derive(secret: str, purpose: str) -> str:
    """Another secret made of `secret` for one purpose (HMAC-SHA-256, hex): it tells nothing about `secret` or about other purposes."""
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()
