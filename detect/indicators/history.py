"""Back in history: what the new indicators of each import would have met in what is kept, found by itself after the import.

- History is searched in days of UTC by when events reached us, oldest first. The store sorts out what may match (addresses by set joins
  with the indicators' own table; of names, URLs and hashes the rows that have one), and the index of the stream decides.
- A day gives one detection for each indicator and agency that met, about the earliest event, with origin `hunt`. Its place is the
  day's number in the order of the import (epoch `indicators<import id>`), so a day that is searched again after a crash changes nothing.
- The earliest match of each agency ("first knowable") is kept with the import. How far the search is, too: a restart goes on there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import structlog

from core import arrow, topics
from core.bus.contract import Bus, Message
from core.clock import Clock, from_millis, millis
from core.database import Database
from core.errors import BusError, StoreError
from core.events import DETECTIONS, EVENTS, POSITION, event_id
from core.storage.contract import Limits, Store
from core.storage.event_queries import Where
from detect.indicators import feeds, keys
from detect.indicators.findings import about, hash_of
from detect.indicators.index import COLUMNS, Index
from detect.indicators.library import load
from detect.indicators.tables import IndicatorImport, IndicatorSighting
from detect.indicators.values import Type

MOST_MATCHES: Final = 10_000
"""Pairs of indicator and agency that one day may give; an import says when there were more."""
EVENTS_NAMED: Final = 20
_AT_ONCE: Final = 200  # detections of one message
_FETCHED: Final = 500
_JUDGED_AT_ONCE: Final = 65_536
_MESSAGES_A_DAY: Final = 1000
_SETTLE: Final = timedelta(minutes=1)  # until what reached us is in the store
_IDLE_SECONDS: Final = 5.0
_LIMITS: Final = Limits(seconds=3600.0, rows=1_000_000, memory_bytes=4 << 30)
_POSITION: Final = tuple(column.name for column in POSITION)
_EVENT_ID: Final = "concat(" + ", '-', ".join(f"toString({name})" for name in _POSITION) + ")"
_BLOCK_V4: Final = 112
_BLOCK_V6: Final = 16
_READ: Final = ("agency", "event_time", *_POSITION, *COLUMNS)
_log = structlog.get_logger()


@dataclass
class Met:
    """What an agency's events of a day have of one indicator. `events` are the earliest: time in milliseconds, then the event's id."""

    column: str
    count: int = 0
    last: int = 0
    events: list[tuple[int, str]] = field(default_factory=list)

    def add(self, count: int, last: int, earliest: Sequence[tuple[int, str]], column: str) -> None:
        if not self.events or earliest[0] < self.events[0]:
            self.column = column
        self.count += count
        self.last = max(self.last, last)
        self.events = sorted([*self.events, *earliest])[:EVENTS_NAMED]


@dataclass
class Found:
    """What was met between two instants, by indicator (its row in the index) and agency; `looked_at` events had to be judged."""

    met: dict[tuple[int, str], Met] = field(default_factory=dict)
    looked_at: int = 0
    capped: bool = False


class History:
    """Searches history for the new indicators of imports, one after another, as long as `run` runs."""

    def __init__(self, store: Store, database: Database, bus: Bus, clock: Clock) -> None:
        self.problem = ""
        self._store = store
        self._database = database
        self._bus = bus
        self._clock = clock
        self._loaded: tuple[int, Index] | None = None

    async def run(self) -> None:
        """Search what there is to search, for ever."""
        while True:
            try:
                idle = not await self.step()
                self.problem = ""
            except (StoreError, BusError) as error:
                _log.warning("indicators.history_failed", error=str(error))
                self.problem, idle = str(error), True
            if idle:
                await asyncio.sleep(_IDLE_SECONDS)

    async def step(self) -> bool:
        """Search one day for one import; whether there was anything to do. StoreError and BusError: the day is searched again."""
        row = await asyncio.to_thread(self._next)
        if row is None:
            self._loaded = None
            return False
        number, begin, end = feeds.slice_of(row)
        if end + _SETTLE > self._clock.now():
            return False
        index = await self._index(row.id)
        now = self._clock.now()
        found = await search(self._store, index, row.id, begin, end, now)
        messages = await detections(self._store, index, row.id, number, found, begin, end, now)
        if messages:
            await self._bus.produce(topics.DETECTIONS, messages)
        await asyncio.to_thread(self._save, row.id, begin, end, index, found)
        return True

    async def _index(self, import_id: int) -> Index:
        if self._loaded is None or self._loaded[0] != import_id:
            self._loaded = import_id, await load(self._store, self._clock, import_id)
        return self._loaded[1]

    def _next(self) -> IndicatorImport | None:
        with self._database.session(readonly=True) as session:
            return feeds.next_search(session)

    def _save(self, import_id: int, begin: datetime, end: datetime, index: Index, found: Found) -> None:
        """Keep what was met and that the day is done, unless another process was faster."""
        with self._database.session() as session:
            row = session.get_one(IndicatorImport, import_id, with_for_update=True)
            if row.history_next != begin:
                return
            for (indicator, agency), met in found.met.items():
                made = _sighting(import_id, agency, index, indicator, met)
                old = session.get(IndicatorSighting, (import_id, agency, made.hash))
                if old is None:
                    session.add(made)
                    continue
                if made.first_at < old.first_at:
                    old.first_at, old.first_event = made.first_at, made.first_event
                old.last_at = max(old.last_at, made.last_at)
                old.events += made.events
            row.history_events += found.looked_at
            row.history_capped = row.history_capped or found.capped
            row.history_next = end if row.history_until is not None and end < row.history_until else None


async def search(store: Store, index: Index, import_id: int, begin: datetime, end: datetime, now: datetime) -> Found:
    """What the indicators of an import, in `index`, meet in the events that reached us from `begin` on and before `end`."""
    found = Found()
    where = Where()
    where.between("received_at", begin, end)
    _may_match(index, import_id, where)
    sql = f"SELECT {', '.join(_READ)} FROM events WHERE {where.sql}"
    waiting: list[pa.RecordBatch] = []
    async for batch in store.stream(sql, where.params, _LIMITS):
        waiting.append(batch)
        if sum(map(len, waiting)) >= _JUDGED_AT_ONCE:
            await asyncio.to_thread(_gather, index, pa.Table.from_batches(waiting), millis(now), found)
            waiting = []
    if waiting:
        await asyncio.to_thread(_gather, index, pa.Table.from_batches(waiting), millis(now), found)
    return found


def _may_match(index: Index, import_id: int, where: Where) -> None:
    """Add the condition that holds for every event that an indicator meets. The set of each subquery is made once for all columns."""
    any_of = Where(params=where.params)
    if index.types & {Type.ADDRESS}:
        own = "SELECT address FROM indicators WHERE first_import = {} AND prefix = 128"
        for column in keys.ADDRESS_COLUMNS:
            any_of.add(lambda p, column=column: f"{column} IN ({own.format(p)})", ("UInt64", import_id))
    for blocks, prefix in zip(index.blocks(), (_BLOCK_V4, _BLOCK_V6), strict=True):
        if blocks:
            any_of.add(lambda p, prefix=prefix: _in_blocks(p, prefix), ("Array(String)", blocks))
    if index.types & {Type.DOMAIN, Type.URL, Type.ADDRESS}:
        any_of.conditions += [f"{column} != ''" for column in (*keys.NAME_COLUMNS, keys.URL_COLUMN)]
    if Type.HASH in index.types:
        any_of.conditions.append(f"{keys.HASH_COLUMN} != ''")
    where.conditions.append(f"({' OR '.join(any_of.conditions) or '0'})")


def _in_blocks(placeholder: str, prefix: int) -> str:
    first = "tupleElement(IPv6CIDRToRange(ifNull({}, toIPv6('::')), toUInt8({})), 1)"
    blocks = f"(SELECT toIPv6(arrayJoin({placeholder})))"
    return " OR ".join(f"{first.format(column, prefix)} IN {blocks}" for column in keys.ADDRESS_COLUMNS)


def _gather(index: Index, events: pa.Table, now: int, found: Found) -> None:
    """Add the matches in `events` to what was found."""
    found.looked_at += events.num_rows
    matches = index.match(events, now)
    if not len(matches.rows):
        return
    rows = events.select(["agency", "event_time", *_POSITION]).take(pa.array(matches.rows))
    agencies = rows["agency"].combine_chunks().dictionary_encode()
    codes = agencies.indices.to_numpy().astype(np.int64)
    times = rows["event_time"].cast(pa.int64()).to_numpy()
    groups = matches.indicators * len(agencies.dictionary) + codes
    order = np.lexsort((rows["raw_line"].to_numpy(), rows["raw_offset"].to_numpy(), times, groups))
    starts = np.flatnonzero(np.r_[True, np.diff(groups[order]) != 0])
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
        indicator, code = divmod(int(groups[order[start]]), len(agencies.dictionary))
        pair = indicator, agencies.dictionary[code].as_py()
        if pair not in found.met and len(found.met) >= MOST_MATCHES:
            found.capped = True
            continue
        some = order[start : min(stop, start + EVENTS_NAMED)]
        named = rows.select(list(_POSITION)).take(pa.array(some)).to_pylist()
        earliest = [(int(times[place]), event_id(*one.values())) for place, one in zip(some.tolist(), named, strict=True)]
        column = COLUMNS[int(matches.columns[order[start]])]
        found.met.setdefault(pair, Met(column)).add(stop - start, int(times[order[stop - 1]]), earliest, column)


async def detections(
    store: Store, index: Index, import_id: int, number: int, found: Found, begin: datetime, end: datetime, now: datetime
) -> list[Message]:
    """The messages of day `number` of the import: for each that was met a detection about its earliest event, in a fixed order."""
    every = sorted(found.met.items(), key=lambda item: (item[1].events[0], item[0][1], item[0][0]))
    events = await _events(store, {met.events[0][1] for _, met in every}, begin, end)
    messages = []
    for chunk, start in enumerate(range(0, len(every), _AT_ONCE)):
        offset = number * _MESSAGES_A_DAY + chunk
        rows = [
            _detection(index, indicator, met, events[met.events[0][1]], (import_id, offset, line), now)
            for line, ((indicator, _), met) in enumerate(every[start : start + _AT_ONCE])
            if met.events[0][1] in events
        ]
        if rows:
            messages.append(Message(arrow.encode(pa.Table.from_pylist(rows, schema=DETECTIONS.schema)), partition=0))
    return messages


def _detection(index: Index, indicator: int, met: Met, event: dict[str, Any], place: tuple[int, int, int], now: datetime) -> dict[str, Any]:
    import_id, offset, line = place
    more = {
        "import": import_id,
        "event_count": met.count,
        "first": _text(met.events[0][0]),
        "last": _text(met.last),
        "events": [one for _, one in met.events],
    }
    said = about(index, indicator, met.column, more)
    digest = said.pop("indicator_hash")
    position = (f"indicators{import_id}", 0, offset, line)
    own = {"detection_id": f"{said['rule_id']}:{event_id(*position)}:{digest}", "origin": "hunt", "detected_at": now}
    told = event | said | dict(zip(_POSITION, position, strict=True)) | own
    return {name: told[name] for name in DETECTIONS.names}


async def _events(store: Store, ids: Collection[str], begin: datetime, end: datetime) -> dict[str, dict[str, Any]]:
    """The events with those ids, whole."""
    found: dict[str, dict[str, Any]] = {}
    every = sorted(ids)
    for start in range(0, len(every), _FETCHED):
        some = every[start : start + _FETCHED]
        where = Where()
        where.between("received_at", begin, end)
        where.add(lambda p: f"raw_offset IN {p}", ("Array(UInt64)", sorted({int(one.split("-")[-2]) for one in some})))
        where.add(lambda p: f"{_EVENT_ID} IN {p}", ("Array(String)", some))
        rows = await store.query(f"SELECT {', '.join(EVENTS.names)} FROM events WHERE {where.sql}", where.params, _LIMITS)
        found |= {event_id(*(row[column] for column in _POSITION)): row for row in rows.to_pylist()}
    return found


def _sighting(import_id: int, agency: str, index: Index, indicator: int, met: Met) -> IndicatorSighting:
    row = index.rows.slice(indicator, 1).to_pylist()[0]
    first_at, first_event = met.events[0]
    return IndicatorSighting(
        import_id=import_id,
        agency=agency,
        hash=hash_of(row["type"], row["value"]),
        type=row["type"],
        value=row["value"],
        tlp=row["tlp"],
        first_at=from_millis(first_at),
        first_event=first_event,
        last_at=from_millis(met.last),
        events=met.count,
    )


def _text(at: int) -> str:
    return from_millis(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
