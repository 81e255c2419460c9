"""Which hours an hour is compared with, and how far from usual a number is. Pure functions.

An hour is a number: hours since the epoch, UTC. It is like the same hour of the week in the four weeks before; while a source is younger
than that, like the same hour of the days before. Medians and median absolute deviations, so that a holiday or an outage among them
does not count (Rousseeuw and Croux, Alternatives to the Median Absolute Deviation, 1993: 1.4826 makes it a standard deviation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final

WEEK_HOURS: Final = 168
WEEKS: Final = 4
_DAY_HOURS: Final = 24
_DAYS: Final = 6
_SIGMA: Final = 1.4826
_HOUR: Final = timedelta(hours=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def hour_of(at: datetime) -> int:
    """The number of the hour `at` lies in."""
    return (at - _EPOCH) // _HOUR


def start_of(hour: int) -> datetime:
    """When an hour begins, UTC."""
    return _EPOCH + hour * _HOUR


def like(hour: int, first: int) -> list[int]:
    """The hours that `hour` is compared with, of a source whose first whole hour is `first`; the newest first."""
    weeks = [hour - WEEK_HOURS * back for back in range(1, WEEKS + 1)]
    known = [one for one in weeks if one >= first]
    if known:
        return known
    return [one for back in range(1, _DAYS + 1) if (one := hour - _DAY_HOURS * back) >= first]


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual: the median, and the median absolute deviation as a standard deviation; `known` numbers it was made of."""

    median: float
    deviation: float
    known: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Usual:
        """ValueError when there are no values."""
        middle = median(values)
        return cls(middle, _SIGMA * median(abs(value - middle) for value in values), len(values))


def usual(values: Mapping[int, float], hour: int, first: int) -> Usual | None:
    """What is usual for `hour`, from values by hour (0 where there is none); None when nothing is comparable yet."""
    hours = like(hour, first)
    return Usual.of([values.get(one, 0.0) for one in hours]) if hours else None
