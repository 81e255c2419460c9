"""Instants as people and machines give them: with their zone, and within what every database and engine here can hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime

_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2199


def _within_reach(at: datetime) -> datetime:
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise ValueError(f"a time lies between {_FIRST_YEAR} and {_LAST_YEAR}")
    return at.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_within_reach)]
"""An instant as a body or a query gives it, in UTC afterwards."""
