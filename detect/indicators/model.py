"""What readers of feeds give: indicators, and what they had to refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from detect.indicators.values import Value

TLP: Final = ("clear", "green", "amber", "amber+strict", "red")
"""The Traffic Light Protocol 2.0 (FIRST), the strictest last."""
RED: Final = "red"
LONGEST_TEXT: Final = 500
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_OLDER: Final = {"white": "clear"}  # TLP 1.0


@dataclass(frozen=True, slots=True)
class Indicator:
    """One value and what its feed says of it. None and '' mean: it does not say."""

    value: Value
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    confidence: int | None = None
    tlp: str = ""
    source: str = ""
    labels: str = ""
    reference: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """What of a feed cannot be matched. `place` counts its entries from 1; `word` is a stable reason, `reason` says it for people."""

    place: int
    given: str
    word: str
    reason: str


Read = Iterator[Indicator | Refused]


def tlp_named(text: object) -> str:
    """The level called `text` (`TLP:RED`, `tlp:amber+strict`, `white`); '' when it is none."""
    word = str(text).strip().lower().removeprefix("tlp:")
    word = _OLDER.get(word, word)
    return word if word in TLP else ""


def strictest(levels: Iterator[str]) -> str:
    """The strictest of several levels; '' of none."""
    return max((level for level in levels if level), key=TLP.index, default="")


def instant(text: object) -> datetime | None:
    """An ISO 8601 time, in UTC where it has no zone; None when there is none, ValueError when it is none.

    Feeds write "for ever" as the year 9999: what is outside the years the store can hold becomes their first or last day.
    """
    if text is None or text == "":
        return None
    at = datetime.fromisoformat(str(text).strip())
    if not _FIRST.year < at.year < _LAST.year:
        return _FIRST if at.year <= _FIRST.year else _LAST
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def short(text: object) -> str:
    """Text for people, cut to a bearable length, without what is not text."""
    return str(text or "").encode("utf-8", "replace").decode()[:LONGEST_TEXT].strip()
