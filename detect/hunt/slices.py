"""Cutting a hunt's time into slices of about as many rows each.

Slices follow one another without a gap from the first to the last instant, so a row is in exactly one of them however late it came.
Small stretches are counted, which for a cheap rule costs as much as judging them. Of large ones the table's sparse index is asked: it
costs next to nothing, and is right to the few thousand rows of a granule for each agency and part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.clock import millis
from core.storage.contract import Limits, Store
from detect.hunt.statements import Reach

Ints = npt.NDArray[np.int64]

FEWEST_BY_INDEX: Final = 1_000_000
_BUCKETS: Final = 4_000
_A_YEAR: Final = timedelta(days=366)
_LIMITS: Final = Limits(seconds=120.0, rows=2_000_000)


@dataclass(frozen=True, slots=True)
class Slice:
    """`start` <= event_time < `end`, milliseconds; `rows` as counted or estimated."""

    start: int
    end: int
    rows: int


@dataclass(frozen=True, slots=True)
class Density:
    """How many rows begin at which instants (milliseconds, ascending) of a reach."""

    at: Ints
    rows: Ints

    @property
    def total(self) -> int:
        return int(self.rows.sum())

    def newest(self, rows: int) -> int:
        """The latest instant from which on there are at least `rows` rows, or the first there is; there must be some."""
        behind = np.cumsum(self.rows[::-1])
        return int(self.at[::-1][min(int(np.searchsorted(behind, rows)), len(behind) - 1)])


async def density(store: Store, reach: Reach) -> Density:
    """How the rows of `reach` lie in time. StoreError as the store raises it."""
    if reach.until - reach.since > _A_YEAR:
        reach = await _kept(store, reach)
    if not reach.ranges:
        where = replace(reach, received_before=None).where()
        found = await store.query(
            "SELECT toUnixTimestamp64Milli(event_time) AS at, sum(rows_in_granule) AS rows "
            f"FROM mergeTreeIndex(currentDatabase(), 'events') WHERE {where.sql} GROUP BY at ORDER BY at",
            where.params,
            _LIMITS,
        )
        by_index = _density(found)
        if by_index.total >= FEWEST_BY_INDEX:
            return by_index
    where = reach.where()
    width = max((millis(reach.until) - millis(reach.since)) // _BUCKETS, 1000)
    found = await store.query(
        f"SELECT intDiv(toUnixTimestamp64Milli(event_time), {width}) * {width} AS at, count() AS rows "
        f"FROM events WHERE {where.sql} GROUP BY at ORDER BY at",
        where.params,
        _LIMITS,
    )
    return _density(found)


async def _kept(store: Store, reach: Reach) -> Reach:
    """`reach` without the years before anything was kept."""
    where = reach.where()
    sql = f"SELECT min(event_time) AS first, max(event_time) AS last, count() AS rows FROM events WHERE {where.sql}"
    row = (await store.query(sql, where.params, _LIMITS)).to_pylist()[0]
    return reach.within(row["first"], row["last"] + timedelta(milliseconds=1)) if row["rows"] else reach


def cut(found: Density, since: datetime, until: datetime, rows: int, first: int) -> list[Slice]:
    """Slices of about `rows` rows, the first one of about `first`; at least one."""
    start, end = millis(since), millis(until)
    behind = np.cumsum(found.rows) - found.rows - max(first, 1)
    place = np.where(behind < 0, 0, 1 + behind // max(rows, 1))
    firsts = np.flatnonzero(np.diff(place, prepend=-1)) if len(place) else np.empty(0, np.int64)
    starts = [start, *found.at[firsts[1:]].tolist()]
    counts = np.add.reduceat(found.rows, firsts).tolist() if len(firsts) else [0]
    return [Slice(low, high, count) for low, high, count in zip(starts, [*starts[1:], end], counts, strict=True)]


def _density(found: pa.Table) -> Density:
    return Density(*(found[name].combine_chunks().cast(pa.int64()).to_numpy() for name in ("at", "rows")))
