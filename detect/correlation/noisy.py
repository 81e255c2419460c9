"""One key with more matches within reach than are read together: judged page after page in order of time.

What the matches before a page are to it is asked of the store, so that what is held does not grow with them:
- event_count, value_sum and value_avg: how many there are in the timespan before the page and their sum, less those that the window leaves
  behind from one match of the page to the next.
- value_count and temporal: the last match of each value or member. Of a value_count only as many of the newest as its highest threshold and
  one more: a window that holds all of these is beyond every threshold anyhow, and the number told is then a lower bound.
- temporal_ordered: pages from one timespan earlier on; of what is behind, the chains that begin last.
- percentiles need every number of a window: a window of more than `MOST_ROWS` is QueryTooCostly.

So what fires is what fires when all matches are read together.
"""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass, replace
from math import floor
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.clock import from_millis
from core.errors import QueryTooCostly
from core.storage import correlation_queries as queries
from core.storage.contract import Store
from core.storage.correlation_queries import Stretch
from detect.correlation.definition import Correlation, Kind
from detect.correlation.firing import FIRED, MOST_EVENTS, arrival, bucket_of, event_ids, firings
from detect.correlation.members import ROWS
from detect.correlation.windows import Before, chain

Ints = npt.NDArray[np.int64]

MOST_ROWS: Final = 500_000
"""Matches that are read together."""

PAGE_ROWS: Final = 100_000
_COUNTED: Final = (Kind.EVENT_COUNT, Kind.VALUE_SUM, Kind.VALUE_AVG)
_EACH: Final = {Kind.VALUE_COUNT: "text", Kind.TEMPORAL: "member"}


@dataclass(frozen=True, slots=True)
class _Page:
    """All matches from `low` to `high`, both included."""

    low: int
    high: int
    rows: pa.Table

    @property
    def at(self) -> Ints:
        return _times(self.rows)


class Noisy:
    """The matches of one key of `correlation`. `stretch`: those that may complete it."""

    def __init__(self, store: Store, correlation: Correlation, stretch: Stretch) -> None:
        self._store = store
        self._correlation = correlation
        self._span = correlation.span_ms
        self._stretch = stretch

    async def fired(self, fired: Collection[int]) -> pa.Table:
        """What fires but in the buckets `fired`; columns of FIRED. QueryTooCostly when it cannot be judged. StoreError."""
        known = set(fired)
        found = [FIRED.empty_table()]
        behind = ROWS.empty_table()
        kind = self._correlation.kind
        at = self._stretch.low - (self._span if kind is Kind.TEMPORAL_ORDERED else 0)
        while at <= self._stretch.high:
            bucket = bucket_of(at, self._span)
            if bucket in known and kind is not Kind.TEMPORAL_ORDERED:
                at = bucket + self._span
                continue
            if kind in (Kind.VALUE_PERCENTILE, Kind.VALUE_MEDIAN):
                page, new = await self._whole(at, known)
            else:
                page = await self._page(at)
                new, behind = await self._judged(page, behind, known)
            found.append(await self._told(new, page))
            known |= set(new["bucket"].cast(pa.int64()).to_pylist())
            at = page.high + 1
        return pa.concat_tables(found)

    async def _page(self, low: int) -> _Page:
        """The next matches from `low` on, whole instants."""
        rows = (await queries.earliest(self._store, self._between(low, self._stretch.high), PAGE_ROWS)).cast(ROWS)
        if rows.num_rows < PAGE_ROWS:
            return _Page(low, self._stretch.high, rows)
        times = _times(rows)
        last = int(times.max())
        if last == times.min():
            raise QueryTooCostly(f"more than {PAGE_ROWS:,} matches happened at {from_millis(last).isoformat(timespec='milliseconds')}")
        return _Page(low, last - 1, rows.filter(pa.array(times < last)))

    async def _whole(self, low: int, known: Collection[int]) -> tuple[_Page, pa.Table]:
        """A bucket from `low` on with all that its windows hold."""
        high = min(bucket_of(low, self._span) + self._span - 1, self._stretch.high)
        rows = (await queries.earliest(self._store, self._between(low - self._span, high), MOST_ROWS + 1)).cast(ROWS)
        if rows.num_rows > MOST_ROWS:
            raise QueryTooCostly(f"a {self._correlation.kind} of more than {MOST_ROWS:,} matches")
        page = _Page(low, high, rows)
        return page, await self._firings(page, rows, known)

    async def _judged(self, page: _Page, behind: pa.Table, known: Collection[int]) -> tuple[pa.Table, pa.Table]:
        """What fires in a page, and what is to be kept of it and of what is behind it."""
        kind = self._correlation.kind
        if not page.rows.num_rows:
            return FIRED.empty_table(), behind
        if kind in _COUNTED:
            return await self._firings(page, page.rows, known, await self._before(page)), behind
        if kind in _EACH:
            last = await queries.last_of_each(self._store, self._between(page.low - self._span, page.low - 1), _EACH[kind], self._few())
            return await self._firings(page, pa.concat_tables([self._stand_ins(last), page.rows]), known), behind
        rows = pa.concat_tables([behind, page.rows])
        return await self._firings(page, rows, known), await asyncio.to_thread(_chains, self._correlation, rows)

    def _stand_ins(self, last: pa.Table) -> pa.Table:
        """`last` as matches of which nothing else is known; nothing is told of them."""
        given = {name: last[name] for name in last.column_names} | {"group_key": pa.repeat(self._stretch.pair[1], last.num_rows)}
        blank = {field.name: pa.scalar("" if field.type == pa.string() else 0).cast(field.type) for field in ROWS}
        columns = [given[name] if name in given else pa.repeat(blank[name], last.num_rows) for name in ROWS.names]
        return pa.table([column.cast(field.type) for column, field in zip(columns, ROWS, strict=True)], schema=ROWS)

    def _few(self) -> int:
        """More values than any threshold; of members all."""
        few = max((floor(bound.value) + 2 for bound in self._correlation.bounds), default=len(self._correlation.members))
        if few > MOST_ROWS:
            raise QueryTooCostly(f"a threshold above {MOST_ROWS:,} values")
        return max(few, len(self._correlation.members))

    async def _before(self, page: _Page) -> Before:
        """How many matches the windows of the page hold that happened before it, and their sum."""
        all_before = await queries.totals(self._store, self._between(page.low - self._span, page.low - 1))
        begins = page.at - self._span
        count = np.full(len(begins), all_before.rows, np.int64)
        total = np.full(len(begins), all_before.number)
        left_behind = self._between(page.low - self._span, min(page.low, int(begins.max())) - 1)
        async for batch in queries.numbers(self._store, left_behind):
            at = batch["at"].to_numpy()
            order = np.argsort(at)
            gone = np.searchsorted(at[order], begins)
            count -= gone
            total -= np.concatenate(([0.0], np.cumsum(batch["number"].to_numpy()[order])))[gone]
        return Before(count, total)

    async def _firings(self, page: _Page, rows: pa.Table, known: Collection[int], before: Before | None = None) -> pa.Table:
        key = self._stretch.pair[1]
        within = {key: (max(page.low, self._stretch.low), page.high)}
        return await asyncio.to_thread(firings, self._correlation, rows, {(key, one) for one in known}, within, before)

    async def _told(self, fired: pa.Table, page: _Page) -> pa.Table:
        """`fired` with what all matches of their windows come to."""
        details = [await self._details(one, page) for one in fired.to_pylist()]
        place = FIRED.get_field_index("details")
        return fired.set_column(place, FIRED.field(place), pa.array(details, pa.string()))

    async def _details(self, fired: dict[str, Any], page: _Page) -> str:
        at = round(fired["event_time"].timestamp() * 1000)
        earlier = self._between(at - self._span, at - 1)
        rows = (await queries.newest(self._store, earlier, MOST_EVENTS)).cast(ROWS)
        of_all = await queries.totals(self._store, earlier)
        instant = _in_order(page.rows.filter(pa.array(page.at == at)))
        own = event_ids(instant)
        upto = len(own) - own[::-1].index(fired["event"])
        events = [*event_ids(_in_order(rows)), *own[:upto]][-MOST_EVENTS:]
        said = json.loads(fired["details"]) | {
            "first": from_millis(of_all.first if of_all.rows else at).isoformat(timespec="milliseconds"),
            "events": list(dict.fromkeys(events)),
            "event_count": of_all.stands_for + pc.sum(instant["stands_for"].slice(0, upto)).as_py(),
        }
        return json.dumps(said, ensure_ascii=False)

    def _between(self, low: int, high: int) -> Stretch:
        return replace(self._stretch, low=low, high=high)


def _times(rows: pa.Table) -> Ints:
    return rows["event_time"].cast(pa.int64()).to_numpy()  # type: ignore[no-any-return]


def _in_order(rows: pa.Table) -> pa.Table:
    """Rows in order of time and arrival."""
    rows = rows.combine_chunks()
    return rows.take(pa.array(np.lexsort((arrival(rows), _times(rows)))))


def _chains(correlation: Correlation, rows: pa.Table) -> pa.Table:
    """Of `rows` those of the chains that later matches may go on: of each number of members the one that begins last."""
    ordered = _in_order(rows)
    member = ordered["member"].to_numpy()
    order = chain(correlation)
    places = {one: np.flatnonzero(member == one).tolist() for one in order}
    kept: set[int] = set()
    for length in range(1, len(order) + 1):
        place, links = ordered.num_rows, []
        for one in reversed(order[:length]):
            earlier = bisect_left(places[one], place) - 1
            if earlier < 0:
                break
            place = places[one][earlier]
            links.append(place)
        if len(links) == length:
            kept.update(links)
    return ordered.take(pa.array(sorted(kept), pa.int64()))
