"""What a new password must be, by NIST SP 800-63B-4, section 3.1.1: long, and not one that is guessed.

There are no rules of composition and no ends of validity. Passwords that are common, come from known breaches, or are made of such and of
simple patterns are refused by the lists and estimates of zxcvbn, which are inside its package: nothing is asked of a network.
"""

from __future__ import annotations

import secrets
import unicodedata
from datetime import timedelta
from typing import Final

from zxcvbn import zxcvbn
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from core.errors import Invalid
from core.identity_settings import SHORTEST_PASSWORD

LONGEST_PASSWORD: Final = 256
TEMPORARY_FOR: Final = timedelta(days=7)
"""How long a password holds that an administrator gave: it is for one log-in, at which its owner chooses another."""
_EASY_GUESSES: Final = 8  # decimal logarithm: what is guessed within a hundred million tries is refused
_ESTIMATED: Final = 72  # characters: beyond it an estimate takes long and changes nothing
_OWN_WORDS: Final = ("bongsu", "봉수")
_NAME_COUNTS_FROM: Final = 4
_COMMON: Final = frozenset(FREQUENCY_LISTS["passwords"])


def check(password: str, name: str, shortest: int = SHORTEST_PASSWORD) -> None:
    """See that `password` may become that of the user `name`; Invalid says what is wrong with it."""
    password = unicodedata.normalize("NFC", password)
    if not shortest <= len(password) <= LONGEST_PASSWORD:
        raise Invalid(f"a password has {shortest} to {LONGEST_PASSWORD} characters; a sentence is easy to remember")
    plain = password.casefold()
    if any(word in plain for word in _OWN_WORDS) or (len(name) >= _NAME_COUNTS_FROM and name.casefold() in plain):
        raise Invalid("a password contains neither the user name nor the name of this system")
    if plain in _COMMON or float(zxcvbn(password[:_ESTIMATED], user_inputs=[name])["guesses_log10"]) < _EASY_GUESSES:
        raise Invalid("this password is common, known from breaches, or a simple pattern: choose another, such as a few unrelated words")


def temporary() -> str:
    """A password for one log-in: 120 random bits."""
    return secrets.token_urlsafe(15)
