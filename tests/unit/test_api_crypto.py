"""Passwords and tokens."""

from __future__ import annotations

import unicodedata

from core import crypto


def test_a_password_verifies_against_its_own_hash_only() -> None:
    stored = crypto.hash_password("correct horse battery")
    assert stored.startswith("$argon2id$")
    assert crypto.verify_password(stored, "correct horse battery")
    assert not crypto.verify_password(stored, "correct horse batterz")
    assert crypto.hash_password("correct horse battery") != stored


def test_nobody_has_no_password() -> None:
    assert not crypto.verify_password(None, "anything")
    assert not crypto.verify_password("not a hash", "anything")


def test_hangul_is_the_same_however_it_was_typed() -> None:
    composed = unicodedata.normalize("NFC", "봉수대비밀번호")
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    assert crypto.verify_password(crypto.hash_password(composed), decomposed)


def test_todays_hashes_are_not_outdated_and_weaker_ones_are() -> None:
    weaker = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$wh+QCp7H0kzKmXZrzrDx8w"
    assert not crypto.is_outdated(crypto.hash_password("correct horse battery"))
    assert crypto.is_outdated(weaker)


def test_tokens_are_256_random_bits() -> None:
    made = {crypto.token() for _ in range(100)}
    assert len(made) == 100
    assert all(len(bytes.fromhex(one)) == 32 for one in made)


def test_digest_is_sha256() -> None:
    assert crypto.digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, example


def test_derived_secrets_differ_by_secret_and_purpose() -> None:
    assert len({crypto.derive(secret, purpose) for secret in ("a", "b") for purpose in ("csrf", "other")}) == 4
    assert crypto.derive("a", "csrf") == crypto.derive("a", "csrf")
