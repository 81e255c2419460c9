"""Correlations over matches in order of time, stretch after stretch, with no more in memory than their timespans hold.

What fires is what fires when all matches are at hand (`detect.correlation.history.judged`), as a window only reaches back. Where the
matches within reach are many, those that are not needed are left out (`detect.correlation.thinning`); the number told is then a lower
bound. A correlation that has too many even so is given up with the reason, and with it those that are made of it; the others go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from detect.correlation.definition import Correlation
from detect.correlation.firing import FIRED, Bucket, Nested, bucket_of, firings
from detect.correlation.history import placed
from detect.correlation.members import ROWS
from detect.correlation.resolve import Resolved
from detect.correlation.thinning import of_one

_STRETCHES: Final = (1000, None)
"""Milliseconds; None: as long as the timespan."""


class Sliding:
    """At most `most` matches are held. `problems`: by hash why a correlation was given up."""

    def __init__(self, resolved: Resolved, most: int) -> None:
        self._resolved = resolved
        self._nested = Nested(resolved)
        self._most = most
        self._held: dict[str, pa.Table] = {one.hash: ROWS.empty_table() for one in resolved.correlations}
        self._thinned: dict[tuple[str, int | None], int] = {}
        self._fired: dict[str, set[Bucket]] = {one.hash: set() for one in resolved.correlations}
        self.problems: dict[str, str] = {}

    def feed(self, rows: pa.Table, since: int, until: int) -> pa.Table:
        """What fires from `since` up to `until`, where the last stretch ended and this ends (milliseconds, not included).

        `rows` (of ROWS) are all matches of rules that happened then. Columns of FIRED; firings stand after those they are made of.
        """
        found = [FIRED.empty_table()]
        for correlation in self._resolved.correlations:
            if correlation.hash in self.problems:
                continue
            new = rows.filter(pc.equal(rows["correlation"], correlation.hash))
            self._held[correlation.hash] = pa.concat_tables([self._held[correlation.hash], new])
            self._relieve()
            if correlation.hash in self.problems:
                continue
            found.append(self._judged(correlation, since, until))
            rows = pa.concat_tables([rows, self._nested.rows(placed(found[-1]))])
        return pa.concat_tables(found)

    def _judged(self, correlation: Correlation, since: int, until: int) -> pa.Table:
        held, known = self._held[correlation.hash], self._fired[correlation.hash]
        fired = firings(correlation, held, known, (since, until - 1))
        current = bucket_of(until, correlation.span_ms)
        buckets = zip(fired["group_key"].to_pylist(), fired["bucket"].cast(pa.int64()).to_pylist(), strict=True)
        self._fired[correlation.hash] = {one for one in (*known, *buckets) if one[1] >= current}
        within_reach = pc.greater_equal(held["event_time"].cast(pa.int64()), until - correlation.span_ms)
        self._held[correlation.hash] = held.filter(within_reach).combine_chunks()
        for stretch in _STRETCHES:
            before = self._thinned.get((correlation.hash, stretch), 0)
            self._thinned[correlation.hash, stretch] = min(before, self._held[correlation.hash].num_rows)
        return fired

    def _relieve(self) -> None:
        """Hold less: by seconds, by whole timespans, without the correlation that has most.

        What has not doubled since it was thinned is not worth another try, but before a correlation is given up.
        """
        if self._count() <= self._most // 2:
            return
        self._thin(2)
        if self._count() > self._most:
            self._thin(1)
        while self._count() > self._most:
            largest = max(self._held, key=lambda name: self._held[name].num_rows)
            self._give_up([largest], f"more than {self._held[largest].num_rows:,} matches are within reach of its timespan at a time")

    def _thin(self, grown: int) -> None:
        """Thin what has more than `grown` times the matches it had when it was thinned last."""
        for stretch in _STRETCHES:
            if self._count() <= self._most // 2:
                return
            for one in self._resolved.correlations:
                if self._held[one.hash].num_rows > grown * self._thinned.get((one.hash, stretch), 0):
                    self._held[one.hash] = of_one(one, self._held[one.hash], stretch or one.span_ms)
                    self._thinned[one.hash, stretch] = self._held[one.hash].num_rows

    def _count(self) -> int:
        return sum(held.num_rows for held in self._held.values())

    def _give_up(self, names: Iterable[str], why: str) -> None:
        for name in names:
            if name not in self.problems:
                self.problems[name] = why
                self._held[name] = ROWS.empty_table()
                outer = [use.correlation.hash for use in self._resolved.uses if use.of.hash == name]
                self._give_up(outer, f"a correlation it is made of was given up: {why}")
