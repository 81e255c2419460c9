"""What the dashboard says, and how times and numbers are written.

The sources say it in English; other languages have a gettext catalogue (`locale/<language>/LC_MESSAGES/bongsu.po`), which
`python -m api.dashboard.catalogue` brings up to date with the sources. A test holds every catalogue to being complete.
Times on screen are KST; UTC is shown on hover.
"""

from __future__ import annotations

import functools
import gettext
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from api.dashboard.words import WORDS
from core.clock import KST

Language = Literal["ko", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("ko", "en")
NAMES: Final[dict[Language, str]] = {"ko": "한국어", "en": "English"}
LOCALE: Final = Path(__file__).parent / "locale"


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language."""

    language: Language

    def __call__(self, message: str, **values: object) -> str:
        """`message` in this language, its `{placeholders}` filled. Sources give it as a literal: that is how catalogues know of it."""
        text = _catalogue(self.language).gettext(message)
        return text.format(**values) if values else text

    def n(self, one: str, many: str, count: int, **values: object) -> str:
        """As calling, with the form for `count` things; both forms are literals and may hold `{count}`."""
        return _catalogue(self.language).ngettext(one, many, count).format(count=number(count), **values)

    def word(self, kind: str, word: str) -> str:
        """The text for a stored word of `kind` (severity, state, ...); the word itself when it is not known here."""
        english = WORDS[kind].get(word)
        return word if english is None else _catalogue(self.language).pgettext(kind, english)


@functools.cache
def _catalogue(language: Language) -> gettext.NullTranslations:
    """The catalogue, compiled from its source; English needs none."""
    file = LOCALE / language / "LC_MESSAGES" / "bongsu.po"
    if not file.is_file():
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def number(value: float) -> str:
    """A count as people read it: with separators, and one decimal below ten if it is not whole."""
    if isinstance(value, float) and value < 10 and value != int(value):
        return f"{value:.1f}"
    return f"{round(value):,}"


def share(part: int, whole: int) -> str:
    """`part` of `whole` in percent; small shares are not shown as none."""
    if not part or not whole:
        return "0%"
    percent = 100 * part / whole
    return "<0.1%" if percent < 0.1 else f"{percent:.1f}%"


def kst(at: datetime) -> str:
    """A time as shown, to the second."""
    return at.astimezone(KST).strftime("%Y-%m-%d %H:%M:%S")


def kst_short(at: datetime, now: datetime) -> str:
    """A time as shown in lists: without the date when it is today's."""
    local, today = at.astimezone(KST), now.astimezone(KST)
    return local.strftime("%H:%M:%S") if local.date() == today.date() else local.strftime("%m-%d %H:%M")


def utc(at: datetime) -> str:
    """A time in UTC, ISO 8601, for the hover text."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
