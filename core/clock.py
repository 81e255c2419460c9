"""Time is injected: code asks a `Clock`, tests give one that stands still.

All times are aware datetimes in UTC; screens show KST (`KST`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KST = timezone(timedelta(hours=9), "KST")


class Clock(Protocol):
    """Where the current time comes from."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FixedClock:
    """A clock for tests: stands at `at` until moved."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        return self._at

    def advance(self, by: timedelta) -> None:
        self._at += by


def millis(at: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def from_millis(value: int) -> datetime:
    """The UTC datetime of milliseconds since the epoch."""
    return _EPOCH + timedelta(milliseconds=value)
