"""The stretch of time a question is about, as `since` and `until` give it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import Depends, Query

from api.auth.dependencies import TheCentre
from core.errors import Invalid
from core.instants import Instant

_UNLESS_SAID: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Range:
    """From `since` on, before `until`; in UTC, and never empty."""

    since: datetime
    until: datetime


def _asked(
    centre: TheCentre,
    since: Annotated[Instant | None, Query(description="At or after this; default: an hour before `until`")] = None,
    until: Annotated[Instant | None, Query(description="Before this; default: now")] = None,
) -> _Range:
    end = until or centre.clock.now()
    start = since or end - _UNLESS_SAID
    if start >= end:
        raise Invalid("since must be before until")
    return _Range(start, end)


TimeRange = Annotated[_Range, Depends(_asked)]
