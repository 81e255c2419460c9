"""What fires through new matches, by what the store knows of their keys.

Invariants:
- What is read at once is bounded, however many keys the new matches have: a few thousand pairs of correlation and key, and MOST_ROWS
  rows. Pairs are read together where their timespans and times are alike.
- A pair whose buckets have all fired is not read again, so a key that goes on and on costs a look-up.
- A pair that alone has more than MOST_ROWS matches within reach is judged page by page (`detect.correlation.noisy`). What cannot be
  judged even so is logged and counted, and holds up nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from core import metrics
from core.errors import QueryTooCostly
from core.rule_records import EVERY_AGENCY
from core.storage import correlation_queries as queries
from core.storage.contract import Store
from core.storage.correlation_queries import Pair, Seen, Stretch
from detect.correlation.definition import Bound, Correlation
from detect.correlation.firing import FIRED, bucket_of, firings
from detect.correlation.members import ROWS
from detect.correlation.noisy import MOST_ROWS, PAGE_ROWS, Noisy
from detect.correlation.resolve import is_across, values_of
from detect.tuning import UNCHANGED, Tunings

Fired = Mapping[Pair, Collection[int]]
"""The begins of the buckets in which pairs have fired."""

MOST_PAIRS: Final = 2_000

_MOST_NOISY: Final = 1_000  # pairs remembered as noisy, so that they are not read in vain first
_SLOTS: Final = 4  # into which the time of new matches is cut at most: each is a question to the store
_SPANS: Final = 8  # a slot is at least so many timespans long
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Touched:
    """A pair of which new matches have come, and from when to when they happened."""

    correlation: Correlation
    key: str
    low: int
    high: int

    @property
    def pair(self) -> Pair:
        return self.correlation.hash, self.key

    @property
    def buckets(self) -> range:
        """The begins of the buckets that the new matches fall into."""
        span = self.correlation.span_ms
        return range(bucket_of(self.low, span), self.high + 1, span)

    @property
    def after(self) -> int:
        """The begin of the bucket that follows: matches of it that came before these may yet be completed by them."""
        return self.buckets[-1] + self.correlation.span_ms


class Judge:
    """Asks `store`. `correlations` are by hash; what counts for none of them is kept and not judged."""

    def __init__(self, store: Store, correlations: Mapping[str, Correlation]) -> None:
        self._store = store
        self._correlations = correlations
        self._noisy: dict[Pair, None] = {}

    async def fired(self, rows: pa.Table, seen: Seen, tunings: Tunings = UNCHANGED) -> pa.Table:
        """What fires through `rows` (columns of ROWS), which are stored, by what agencies changed; columns of FIRED. Raises StoreError."""
        touched = self._touched(rows, tunings)
        fired = await self._fired_before(touched)
        found = [FIRED.empty_table()]
        for alike in _alike(touched):
            found.append(await self._of(alike, fired, seen))
        return pa.concat_tables(found)

    def _touched(self, rows: pa.Table, tunings: Tunings) -> list[_Touched]:
        times = rows.select(["correlation", "group_key"]).append_column("at", rows["event_time"].cast(pa.int64()))
        ranges = times.group_by(["correlation", "group_key"]).aggregate([("at", "min"), ("at", "max")])
        known = ranges.filter(pc.is_in(ranges["correlation"], pa.array(list(self._correlations), pa.string())))
        columns = (known[name].to_pylist() for name in ("correlation", "group_key", "at_min", "at_max"))
        return [
            _Touched(tuned, key, low, high)
            for one, key, low, high in zip(*columns, strict=True)
            if (tuned := _tuned(self._correlations[one], key, tunings)) is not None
        ]

    async def _fired_before(self, touched: Sequence[_Touched]) -> Fired:
        """The buckets within reach of the new matches in which their pairs have fired."""
        fired: dict[Pair, Collection[int]] = {}
        for start in range(0, len(touched), MOST_PAIRS):
            part = touched[start : start + MOST_PAIRS]
            low, high = min(one.buckets[0] for one in part), max(one.after for one in part)
            fired |= await queries.fired(self._store, [one.pair for one in part], low, high)
        return fired

    async def _of(self, touched: Sequence[_Touched], fired: Fired, seen: Seen) -> pa.Table:
        quiet, rest = [], []
        for one in touched:
            known = fired.get(one.pair, ())
            if any(begin not in known for begin in one.buckets):
                quiet.append(one)
            elif one.after not in known:
                rest.append(one)
        if rest:
            low, high = min(one.after for one in rest), max(one.high + one.correlation.span_ms for one in rest)
            late = await queries.pairs_with_matches(self._store, [one.pair for one in rest], low, high, seen)
            quiet += [one for one in rest if one.pair in late]
        return await self._read(quiet, fired, seen)

    async def _read(self, touched: Sequence[_Touched], fired: Fired, seen: Seen) -> pa.Table:
        noisy = [one for one in touched if one.pair in self._noisy]
        if quiet := [one for one in touched if one.pair not in self._noisy]:
            span = quiet[0].correlation.span_ms
            low, high = min(one.low for one in quiet) - span, max(one.high for one in quiet) + span
            try:
                rows = await queries.matches(self._store, [one.pair for one in quiet], low, high, seen, MOST_ROWS)
            except QueryTooCostly:
                if len(quiet) > 1:
                    half = len(quiet) // 2
                    return pa.concat_tables([await self._read(part, fired, seen) for part in (quiet[:half], [*quiet[half:], *noisy])])
                self._remember(quiet[0].pair)
                noisy += quiet
            else:
                for pair in _with_many(rows):
                    self._remember(pair)
                found = await asyncio.to_thread(_judged, rows.cast(ROWS), quiet, fired)
                return pa.concat_tables([found, *[await self._paged(one, fired, seen) for one in noisy]])
        return pa.concat_tables([FIRED.empty_table(), *[await self._paged(one, fired, seen) for one in noisy]])

    async def _paged(self, one: _Touched, fired: Fired, seen: Seen) -> pa.Table:
        stretch = Stretch(one.pair, one.low, one.high + one.correlation.span_ms, seen)
        try:
            return await Noisy(self._store, one.correlation, stretch).fired(fired.get(one.pair, ()))
        except QueryTooCostly as error:
            metrics.CORRELATIONS_NOT_JUDGED.labels(one.correlation.id).inc()
            _log.error("correlate.too_many_matches", rule=one.correlation.id, group=one.key, error=str(error))
            return FIRED.empty_table()

    def _remember(self, pair: Pair) -> None:
        """Judge the pair in pages from now on, which costs less when it has many matches and few are new."""
        if len(self._noisy) == _MOST_NOISY:
            del self._noisy[next(iter(self._noisy))]
        self._noisy[pair] = None


def _with_many(rows: pa.Table) -> list[Pair]:
    """The pairs that have more than a page of `rows`."""
    if rows.num_rows <= PAGE_ROWS:
        return []
    counted = rows.select(["correlation", "group_key"]).group_by(["correlation", "group_key"]).aggregate([([], "count_all")])
    many = counted.filter(pc.greater(counted["count_all"], PAGE_ROWS))
    return list(zip(many["correlation"].to_pylist(), many["group_key"].to_pylist(), strict=True))


def _tuned(correlation: Correlation, key: str, tunings: Tunings) -> Correlation | None:
    """The correlation as it is at the agency that a key is of; None when it is off there."""
    if not tunings.changes:
        return correlation
    return tunings.applied(correlation, EVERY_AGENCY if is_across(correlation) else values_of(key)[0])


def _judged(rows: pa.Table, touched: Sequence[_Touched], fired: Fired) -> pa.Table:
    alike: dict[tuple[str, str, tuple[Bound, ...]], list[_Touched]] = {}
    for one in touched:
        alike.setdefault((one.correlation.hash, one.correlation.level, one.correlation.bounds), []).append(one)
    found = []
    for (name, _, _), ones in alike.items():
        within = {one.key: (one.low, one.high + one.correlation.span_ms) for one in ones}
        known = {(one.key, begin) for one in ones for begin in fired.get(one.pair, ())}
        mine = pc.and_(pc.equal(rows["correlation"], name), pc.is_in(rows["group_key"], pa.array(list(within), pa.string())))
        found.append(firings(ones[0].correlation, rows.filter(mine), known, within))
    return pa.concat_tables(found)


def _alike(touched: Sequence[_Touched]) -> Iterator[list[_Touched]]:
    """Pairs of the same timespan whose new matches happened near each other, so that none is read over the time of another."""
    by_span: dict[int, list[_Touched]] = {}
    for one in touched:
        by_span.setdefault(one.correlation.span_ms, []).append(one)
    for span, ones in by_span.items():
        ones.sort(key=lambda one: one.low)
        width = max(_SPANS * span, (ones[-1].low - ones[0].low) // _SLOTS + 1)
        part: list[_Touched] = []
        for one in ones:
            if part and (len(part) == MOST_PAIRS or one.low - part[0].low > width):
                yield part
                part = []
            part.append(one)
        yield part
