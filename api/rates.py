"""How many requests a caller may send: a bucket for each, refilled all the time, emptied by one with each request.

A bucket holds a minute's worth, so short bursts pass. Counted in this process; several processes of the API each count for themselves.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from core.errors import TooMany

_MOST_CALLERS: Final = 10_000
_MINUTE: Final = 60.0


class Rates:
    """The buckets. `take` is for one event loop."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._size = float(per_minute)
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request of `caller`; TooMany, with the seconds until the next may come, when the bucket is empty."""
        at = self._now()
        left, since = self._buckets.pop(caller, (self._size, at))
        left = min(self._size, left + (at - since) * self._size / _MINUTE)
        enough = left >= 1
        self._buckets[caller] = (left - 1 if enough else left, at)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)  # who was silent longest has a full bucket by now, or nearly so
        if not enough:
            raise TooMany(f"at most {self._size:.0f} requests a minute", retry_after=(1 - left) * _MINUTE / self._size)
