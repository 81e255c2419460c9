"""Searching events: pages, how many over time, the commonest values of a column, and all of them for export.

Every question takes a scope: the agencies the asker may see, None for all. Outside it nothing is found, counted or told. What is searched
for is a tree of `core.storage.search_language`. A question that costs more than its limits raises QueryTooCostly.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from core.clock import KST, from_millis, millis
from core.errors import Invalid, QueryTooCostly
from core.events import EVENTS, Column, Kind
from core.storage import line_paging, search_conditions
from core.storage.contract import Limits, Store
from core.storage.event_queries import Scope, Where
from core.storage.rows import readable, to_jsonable
from core.storage.search_language import Node

MOST_PER_PAGE: Final = 1000
MOST_EXPORTED: Final = 5_000_000
MOST_VALUES: Final = 100

_LIMITS: Final = Limits(seconds=30.0, rows=100_000)
_EXPORT_LIMITS: Final = Limits(seconds=1800.0)
_COLUMNS: Final = ", ".join(f"`{name}`" for name in EVENTS.names)
_TIME: Final = "event_time"
_MILLISECOND: Final = timedelta(milliseconds=1)
_NEWEST_PARTS: Final = (256, 16, 1)  # a full page is mostly found in the newest part of the range, without sorting all of it
_MOST_BARS: Final = 120
_STEPS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 7 * 86_400, 28 * 86_400)
)
_KST_MS: Final = KST.utcoffset(None) // _MILLISECOND


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: `since` <= event_time < `until`, of these agencies, and met by the search (None: all)."""

    since: datetime
    until: datetime
    agencies: Scope
    search: Node | None = None

    def where(self) -> Where:
        """The condition, without the time."""
        where = Where()
        where.scope(self.agencies)
        if self.search is not None:
            search_conditions.add(where, self.search)
        return where

    def within(self) -> Where:
        """The whole condition."""
        where = self.where()
        where.between("event_time", self.since, self.until)
        return where


@dataclass(frozen=True, slots=True)
class EventPage:
    """Rows as `core.storage.rows` makes them. `cursor` asks for what is older; '' when there is nothing more."""

    rows: list[dict[str, Any]]
    cursor: str


@dataclass(frozen=True, slots=True)
class Bar:
    """Events from `at` (UTC) for one step, by their `disposition` ('' when the device did not say)."""

    at: datetime
    events: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars in order, empty ones too; steps of a day or more begin at midnight in Seoul."""

    step: timedelta
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Common:
    """A value, as `core.storage.rows` writes it, and how many events have it."""

    value: Any
    events: int


@dataclass(frozen=True, slots=True)
class Values:
    """The commonest values of a column. Of `events`, `set` have the column; `distinct` estimates how many values there are."""

    events: int
    set: int
    distinct: int
    commonest: Sequence[Common]


async def page(store: Store, wanted: Wanted, limit: int = 100, cursor: str = "") -> EventPage:
    """At most `limit` events, newest first, from `cursor` on ('' = start).

    Events that arrive later never move what an earlier cursor points at.
    """
    if not 1 <= limit <= MOST_PER_PAGE:
        raise Invalid(f"limit must be between 1 and {MOST_PER_PAGE}")
    where = wanted.where()
    until = min(wanted.until, line_paging.go_on(where, _TIME, cursor) + _MILLISECOND) if cursor else wanted.until
    for part in _NEWEST_PARTS:
        of_part = Where(list(where.conditions), dict(where.params))
        of_part.between("event_time", until - (until - wanted.since) / part, until)
        sql = f"SELECT {_COLUMNS} FROM events WHERE {of_part.sql} ORDER BY {line_paging.newest_first(_TIME)} LIMIT {limit + 1}"
        found = await store.query(sql, of_part.params, _LIMITS)
        if found.num_rows > limit:
            break
    shown = found.slice(0, limit)
    return EventPage(to_jsonable(shown), line_paging.cursor_after(shown, _TIME) if found.num_rows > limit else "")


async def histogram(store: Store, wanted: Wanted) -> Histogram:
    """How many events there are over time, in at most 120 steps of a length people count in."""
    where, step = wanted.within(), _step(wanted.until - wanted.since)
    width = step // _MILLISECOND
    bucket = f"intDiv(toUnixTimestamp64Milli(event_time) + {_KST_MS}, {width})"
    sql = f"SELECT {bucket} AS bucket, disposition, count() AS n FROM events WHERE {where.sql} GROUP BY bucket, disposition"
    found = await store.query(sql, where.params, _LIMITS)
    bars: dict[int, dict[str, int]] = {
        place: {} for place in range(_bucket(wanted.since, width), _bucket(wanted.until - _MILLISECOND, width) + 1)
    }
    for row in found.to_pylist():
        bars[row["bucket"]][row["disposition"]] = row["n"]
    return Histogram(step, [Bar(from_millis(place * width - _KST_MS), events) for place, events in bars.items()])


async def values(store: Store, wanted: Wanted, column: Column, limit: int = 10) -> Values:
    """The commonest values of `column` among the events wanted; Invalid for a column of which no two events have the same value."""
    if column.kind is Kind.TIME or column.name in ("raw", "raw_offset", "raw_line"):
        raise Invalid(f"{column.name} has no common values")
    if not 1 <= limit <= MOST_VALUES:
        raise Invalid(f"at most {MOST_VALUES} values can be asked for")
    where, name, is_set = wanted.within(), f"`{column.name}`", search_conditions.is_set(column)
    of_all = f"SELECT count() AS events, countIf({is_set}) AS set, uniqIf({name}, {is_set}) AS distinct FROM events WHERE {where.sql}"
    counted = (await store.query(of_all, where.params, _LIMITS)).to_pylist()[0]
    where.conditions.append(is_set)
    grouped = f"SELECT {name} AS value, count() AS n FROM events WHERE {where.sql} GROUP BY value ORDER BY n DESC, value LIMIT {limit}"
    found = await store.query(grouped, where.params, _LIMITS)
    texts = readable(column.name, found["value"])
    commonest = [Common(text, count) for text, count in zip(texts, found["n"].to_pylist(), strict=True)]
    return Values(counted["events"], counted["set"], counted["distinct"], commonest)


async def count(store: Store, wanted: Wanted) -> int:
    """How many events there are."""
    where = wanted.within()
    found = await store.query(f"SELECT count() AS n FROM events WHERE {where.sql}", where.params, _LIMITS)
    return int(found["n"][0].as_py())


async def everything(store: Store, wanted: Wanted, columns: Sequence[Column]) -> AsyncIterator[pa.RecordBatch]:
    """All events wanted, by agency and time, in batches of constant memory. QueryTooCostly, before any is read, when they are too many."""
    number = await count(store, wanted)
    if number > MOST_EXPORTED:
        raise QueryTooCostly(f"{number:,} events are wanted, and an export has at most {MOST_EXPORTED:,}")
    where = wanted.within()
    names = ", ".join(f"`{column.name}`" for column in columns)
    return store.stream(f"SELECT {names} FROM events WHERE {where.sql} ORDER BY agency, event_time", where.params, _EXPORT_LIMITS)


def _step(length: timedelta) -> timedelta:
    return next((step for step in _STEPS if length / step < _MOST_BARS), _STEPS[-1])


def _bucket(at: datetime, width: int) -> int:
    return (millis(at) + _KST_MS) // width
