"""The year a duty belongs to: a calendar year of Seoul. "On an annual basis at the very least" (15, 21, 25) ends with it."""

from __future__ import annotations

from datetime import datetime

from core.clock import KST


def year_of(at: datetime) -> int:
    """The year `at` lies in, in Seoul."""
    return at.astimezone(KST).year


def end_of(year: int) -> datetime:
    """The first instant after `year`: midnight of New Year in Seoul."""
    return datetime(year + 1, 1, 1, tzinfo=KST)
