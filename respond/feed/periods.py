"""Periods of the feed: a day (`2026-05-01`), a month (`2026-05`) or a year (`2026`), as Seoul's calendar has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from core.clock import KST
from core.errors import Invalid

_SHAPE: Final = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """`since` <= instant < `until`, in UTC."""

    name: str
    since: datetime
    until: datetime


def parse(name: str) -> Period:
    """The period called `name`; Invalid when there is none."""
    found = _SHAPE.fullmatch(name)
    try:
        if found is None:
            raise ValueError(name)
        year, month, day = (int(part) if part else 0 for part in found.groups())
        since = datetime(year, month or 1, day or 1, tzinfo=KST)
        if day:
            until = since + timedelta(days=1)
        elif month:
            until = (since + timedelta(days=31)).replace(day=1)
        else:
            until = since.replace(year=year + 1)
        return Period(name, since.astimezone(UTC), until.astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{name!r} is no period: give a day (2026-05-01), a month (2026-05) or a year (2026)") from error
