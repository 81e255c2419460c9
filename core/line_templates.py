"""Log lines with blanks: words in braces stand for the time of the line and the number of its repetition.

`{date}` `{time}` `{bsd}` `{clf}` are in the zone of the time given, `{utc}` is in UTC, `{epoch}` seconds since 1970; `{n}` and `{hex}` are
the number, from 1. Other words in braces stay as they are, for JSON has braces too.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BLANK: Final = re.compile(r"\{(\w+)\}")
WORDS: Final = frozenset(("date", "time", "bsd", "clf", "epoch", "utc", "n", "hex"))


def filled(line: str, at: datetime, number: int) -> str:
    """`line` at the time `at`, which has a zone, for the repetition `number`."""
    month = _MONTHS[at.month - 1]
    values = {
        "date": f"{at:%Y-%m-%d}",
        "time": f"{at:%H:%M:%S}",
        "bsd": f"{month} {at.day:2} {at:%H:%M:%S}",
        "clf": f"{at.day:02}/{month}/{at:%Y:%H:%M:%S %z}",
        "epoch": str(int(at.timestamp())),
        "utc": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}",
        "n": str(number),
        "hex": f"{number:02X}",
    }
    return _BLANK.sub(lambda found: values.get(found[1], found[0]), line)


def unknown(line: str) -> list[str]:
    """The words in braces that are none of ours: a slip of the pen, most likely."""
    return sorted({word for word in _BLANK.findall(line) if word not in WORDS})
