"""What the API refuses, in the reader's language: its English messages are known here by their templates.

Answers of the API are English, for machines and for people alike. A template is a message of the sources with `{0}`, `{1}` ... where they
put something in; the catalogue `locale/<language>/LC_MESSAGES/refusals.po` translates templates, and a test holds it to being complete
for the modules `refusal_sources` names. What was put in is kept, or translated when it is a known message itself. A message that is not
known is told as it is: nothing is ever lost.
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from babel.messages.pofile import read_po

from api.dashboard.texts import LOCALE, Language, Texts

DOMAIN: Final = "refusals"
_BEGINNING: Final = 4
"""Templates are looked up by so many of their first characters."""


@dataclass(frozen=True, slots=True)
class _Known:
    pattern: re.Pattern[str]
    translation: str
    literal: int


def refusal(t: Texts, reason: str) -> str:
    """The reason in the language of `t`; several, joined by "; ", each for itself, and also behind the name of what is wrong."""
    book = _book(t.language)
    return book.told(reason) if book else reason


class _Book:
    """The templates of one language, the most specific first."""

    def __init__(self, translations: Mapping[str, str]) -> None:
        known = sorted((_known(*one) for one in translations.items()), key=lambda one: -one[1].literal)
        self._by_beginning: dict[str, list[_Known]] = {}
        for beginning, one in known:
            self._by_beginning.setdefault(beginning, []).append(one)

    def told(self, reason: str) -> str:
        """The translation, of the parts that are known; the reason itself when none is."""
        return self._whole(reason) or self._each(reason) or reason

    def _whole(self, reason: str) -> str:
        """The translation of one message; '' when no template fits."""
        fitting: list[_Known] = [*self._by_beginning.get(reason[:_BEGINNING], []), *self._by_beginning.get("", [])]
        for one in fitting:
            if found := one.pattern.fullmatch(reason):
                return one.translation.format(*(self.told(part) for part in found.groups()))
        return ""

    def _each(self, reason: str) -> str:
        """The translation of several messages, or of one behind `where: `; '' when none of it is known."""
        return _joined(reason, "; ", [self._behind(part) for part in reason.split("; ")])

    def _behind(self, part: str) -> str:
        where, colon, rest = part.partition(": ")
        return self._whole(part) or (f"{where}: {told}" if colon and (told := self._whole(rest) or self._behind(rest)) else "")


def _joined(reason: str, by: str, told: Iterable[str]) -> str:
    parts = list(zip(reason.split(by), told, strict=True))
    return by.join(new or old for old, new in parts) if any(new for _, new in parts) else ""


def _known(template: str, translation: str) -> tuple[str, _Known]:
    """The template, with the beginning by which it is found: '' when that is not the same in all its messages."""
    parts = [(literal, field is not None) for literal, field, _, _ in string.Formatter().parse(template)]
    pattern = "".join(re.escape(literal) + ("(.*?)" if is_open else "") for literal, is_open in parts)
    beginning = parts[0][0][:_BEGINNING]
    known = _Known(re.compile(pattern, re.DOTALL), translation, sum(len(literal) for literal, _ in parts))
    return (beginning if len(beginning) == _BEGINNING else ""), known


@functools.cache
def _book(language: Language) -> _Book | None:
    file = LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    if not file.is_file():
        return None
    with file.open("rb") as source:
        return _Book({str(one.id): str(one.string) for one in read_po(source, locale=language) if one.id and one.string})
