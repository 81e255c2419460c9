"""The handler of a store stage: from messages of Arrow rows to durable rows of one table, each row once.

How a row is written once, whatever is killed when:
- On a topic, the raw offsets of one (epoch, partition) of `logs.raw` go back only in a repeated delivery (`core.topics`), and a message
  holds all rows of each raw offset it touches. So the table's own highest raw offset says exactly what is in it: rows up to it are dropped.
- Rows of one (epoch, partition) are inserted in the order of their offsets, whole offsets at a time, and each insert is atomic
  (one table partition). So a writer that dies between two inserts leaves no gap below the highest offset.
- An insert whose outcome is not known is given again with the same token, which the store takes once.

The highest offsets are read when the member's partitions may have changed hands (`generation`). What cannot be told apart: a writer that
was thought dead and whose insert arrives at the server after its successor read the highest offset.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from core import arrow, metrics, topics
from core.bus.contract import Bus, Record
from core.errors import BadMessage, ConfigError, StoreError
from core.events import DETECTIONS, EVENTS, QUARANTINE, Table
from core.storage.contract import Store
from core.storage.tables import in_shape

MOST_ROWS: Final = 250_000
"""Rows of one insert, about; whole raw offsets are never split."""

_DAY_MS: Final = 86_400_000
_Place = tuple[str | int, ...]
"""The values of the columns `Table.place`."""

_log = structlog.get_logger()


class TableWriter:
    """Writes the messages of one topic into `table`. One stage at a time calls `handle`."""

    def __init__(self, store: Store, table: Table) -> None:
        self._store = store
        self._table = table
        self._generation: int | None = None
        self._highest: dict[_Place, int] = {}

    async def handle(self, records: Sequence[Record], generation: int) -> None:
        """Write the rows of `records` that are not in the table yet; durable on return. Raises StoreError: give them again."""
        await self.write(await asyncio.to_thread(lambda: [self._read(record) for record in records]), generation)

    async def write(self, messages: Sequence[pa.Table], generation: int) -> None:
        """As `handle`, of the rows of messages in their order."""
        if generation != self._generation:
            self._highest = await highest_offsets(self._store, self._table)
            self._generation = generation
        for insert in await asyncio.to_thread(self._plan, messages):
            await self._store.insert(self._table.name, insert.rows, insert.token)
            self._highest.update(insert.reaches)
            metrics.ROWS_STORED.labels(self._table.name).inc(insert.rows.num_rows)

    def _plan(self, messages: Sequence[pa.Table]) -> list[_Insert]:
        runs: dict[_Place, list[_Run]] = {}
        for place, rows in self._new_rows(messages):
            for run in _runs(rows):
                _append(runs.setdefault(place, []), run)
        return list(_inserts(self._table, runs))

    def _new_rows(self, messages: Sequence[pa.Table]) -> Iterator[tuple[_Place, pa.Table]]:
        """The rows above the highest offset of their place, message by message."""
        seen = dict(self._highest)
        repeated = 0
        for message in messages:
            for place, rows in _by_place(message, self._table.place):
                lowest, highest = pc.min_max(rows["raw_offset"]).as_py().values()
                known = seen.get(place, -1)
                if highest > known:
                    new = rows if lowest > known else rows.filter(pc.greater(rows["raw_offset"], known))
                    repeated += rows.num_rows - new.num_rows
                    seen[place] = highest
                    yield place, new
                else:
                    repeated += rows.num_rows
        if repeated:
            metrics.ROWS_REPEATED.labels(self._table.name).inc(repeated)

    def _read(self, record: Record) -> pa.Table:
        """The rows of a message; none when it is not ours: it can never be read, so it must not stop what follows."""
        try:
            return in_shape(self._table, arrow.decode(record.value))
        except (BadMessage, StoreError) as error:
            metrics.MESSAGES_UNREADABLE.labels(record.topic).inc()
            _log.error("store.message_unreadable", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))
            return arrow.empty(self._table.schema)


async def highest_offsets(store: Store, table: Table) -> dict[_Place, int]:
    """The highest raw offset in `table` by its `place`. Read from the projection `positions`, not from the rows."""
    place = ", ".join(table.place)
    found = await store.query(f"SELECT {place}, max(raw_offset) AS highest FROM {table.name} GROUP BY {place}")
    return {tuple(row[name] for name in table.place): row["highest"] for row in found.to_pylist()}


async def check_positions(store: Store, bus: Bus) -> None:
    """Refuse a bus whose `logs.raw` was made anew under the epoch it had: its new lines would be taken for repeated ones.

    ConfigError when the store holds offsets of the current epoch that the topic has not reached.
    """
    epoch = await bus.epoch(topics.LOGS_RAW)
    ends = await bus.end_offsets(topics.LOGS_RAW)
    for table in (EVENTS, QUARANTINE, DETECTIONS):
        for (stored_epoch, partition), offset in (await highest_offsets(store, table)).items():
            end = ends.get(int(partition), 0)
            if stored_epoch == epoch and offset >= end:
                raise ConfigError(
                    "bus.epoch",
                    f"the store has lines up to offset {offset} of {topics.LOGS_RAW}/{partition} in epoch {epoch!r}, but the topic ends "
                    f"at {end}: it was made anew; give it a new epoch, or connect the bus this store belongs to",
                )


@dataclass(frozen=True, slots=True)
class _Run:
    """Rows of one place that may be inserted together: consecutive whole offsets of one day."""

    day: int
    first: int
    last: int
    parts: tuple[pa.Table, ...]
    size: int


@dataclass(frozen=True, slots=True)
class _Insert:
    """One insert: its rows, its token and the highest offsets once it is durable."""

    rows: pa.Table
    token: str
    reaches: dict[_Place, int]


def _by_place(rows: pa.Table, names: Sequence[str]) -> Iterator[tuple[_Place, pa.Table]]:
    """`rows` by the values of `names`; in practice a message has one or a few."""
    places = rows.select(names).group_by(names).aggregate([]).to_pylist()
    for place in places:
        if len(places) == 1:
            yield tuple(place.values()), rows
        else:
            masks = [pc.equal(rows[name], value) for name, value in place.items()]
            yield tuple(place.values()), rows.filter(reduce(pc.and_, masks))


def _runs(rows: pa.Table) -> Iterator[_Run]:
    """Rows of one place and message, offsets ascending, cut where the day changes and where a run has MOST_ROWS."""
    offsets = _numpy(rows["raw_offset"])
    if np.any(offsets[1:] < offsets[:-1]):
        rows = rows.take(pa.array(np.argsort(offsets, kind="stable")))
        offsets = _numpy(rows["raw_offset"])
    days = _numpy(rows["received_at"].cast(pa.int64())) // _DAY_MS
    starts = np.flatnonzero(np.r_[True, offsets[1:] != offsets[:-1]])
    begin = 0
    for start, end in zip(starts, [*starts[1:], len(offsets)], strict=True):
        last_of_run = end == len(offsets) or days[end] != days[start] or end - begin >= MOST_ROWS
        if last_of_run:
            yield _Run(int(days[begin]), int(offsets[begin]), int(offsets[start]), (rows.slice(begin, end - begin),), int(end - begin))
            begin = int(end)


def _append(runs: list[_Run], run: _Run) -> None:
    """Add `run` to the place's runs, to the last one if they fit together."""
    last = runs[-1] if runs else None
    if last is None or last.day != run.day or last.size + run.size > MOST_ROWS:
        runs.append(run)
    else:
        runs[-1] = _Run(run.day, last.first, run.last, last.parts + run.parts, last.size + run.size)


def _inserts(table: Table, runs: dict[_Place, list[_Run]]) -> Iterator[_Insert]:
    """The first runs of all places that share a day go together, and so on: few inserts, and in order within each place."""
    waiting = {place: list(reversed(runs[place])) for place in sorted(runs, key=str)}
    while waiting:
        day = min(of_place[-1].day for of_place in waiting.values())
        taken: dict[_Place, _Run] = {}
        for place, of_place in waiting.items():
            if of_place[-1].day == day and (not taken or sum(r.size for r in taken.values()) + of_place[-1].size <= MOST_ROWS):
                taken[place] = of_place.pop()
        waiting = {place: of_place for place, of_place in waiting.items() if of_place}
        yield _Insert(
            rows=pa.concat_tables([part for run in taken.values() for part in run.parts]),
            token="/".join([table.name, *(f"{'-'.join(map(str, place))}-{r.first}-{r.last}" for place, r in taken.items())]),
            reaches={place: run.last for place, run in taken.items()},
        )


def _numpy(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return column.combine_chunks().cast(pa.int64()).to_numpy()  # type: ignore[no-any-return]
