"""What a firing becomes: a detection, and a match of the correlations that are made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core import arrow
from core.bus.contract import Message
from core.errors import StoreUnavailable
from core.events import DETECTIONS, EVENTS, POSITION, event_id, parse_event_id
from core.storage import correlation_queries as queries
from core.storage.contract import Store
from core.storage.writer import highest_offsets
from detect.correlation.dispatch import shard_of, to_shard
from detect.correlation.resolve import EXERCISE, exercise_of

_POSITION: Final = tuple(column.name for column in POSITION)
_LOOKS: Final = 20
_PAUSE: Final = 0.25  # seconds


def detections(fired: pa.Table, events: pa.Table, origin: str = "stream") -> pa.Table:
    """The detections of `fired` (columns of FIRINGS), in its order; columns of DETECTIONS.

    Their other columns are those of the events that completed them, looked for in `events` (columns of EVENTS). What is known of an event
    that is not there is told without the rest.
    """
    places = {event: place for place, event in enumerate(_ids(events))}
    wanted = [places.get(name) for name in fired["event"].to_pylist()]
    found = events.take(pa.array(wanted, pa.int64()))
    said = {name: fired[name] for name in fired.column_names if name in DETECTIONS.names}
    said["detection_id"] = pc.binary_join_element_wise(fired["rule_id"], pa.array(_ids(fired), pa.string()), ":")
    said["detected_at"] = fired["fired_at"]
    said[EXERCISE] = pa.chunked_array([[exercise_of(key) for key in fired["group_key"].to_pylist()]], pa.string())
    said |= {name: pa.repeat(pa.scalar(word), fired.num_rows) for name, word in (("kind", "correlation"), ("origin", origin))}
    columns = [said[name] if name in said else _filled(name, found[name]) for name in DETECTIONS.names]
    return pa.table(columns, schema=DETECTIONS.schema)


def _filled(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """An event's column, with what stands for nothing where there is no event."""
    column = EVENTS.column(name)
    if column.nullable:
        return values
    return pc.fill_null(values, pa.scalar("" if column.kind.is_text else 0, values.type))


async def completing_events(store: Store, fired: pa.Table) -> pa.Table:
    """The events that completed `fired`, columns of EVENTS. StoreUnavailable when some are not stored yet, after waiting a little.

    An event that the store has passed over, or let go, is left out.
    """
    if not fired.num_rows:
        return EVENTS.schema.empty_table()
    columns = fired["agency"].to_pylist(), fired["event_time"].cast(pa.int64()).to_pylist(), fired["event"].to_pylist()
    wanted = sorted(set(zip(*columns, strict=True)))
    for _ in range(_LOOKS):
        stored = await highest_offsets(store, EVENTS)  # asked first: what is below it and then not found will never be there
        found = await queries.events(store, wanted)
        there = set(_ids(found))
        missing = [event for _, _, event in wanted if event not in there and not _passed(event, stored)]
        if not missing:
            return found
        await asyncio.sleep(_PAUSE)
    raise StoreUnavailable(f"{len(missing)} events that completed correlations are not in the store yet, {missing[0]} among them")


def _passed(event: str, stored: Mapping[tuple[str | int, ...], int]) -> bool:
    epoch, partition, offset, _ = parse_event_id(event)
    return stored.get((epoch, partition), -1) >= offset


def _ids(rows: pa.Table) -> list[str]:
    return [event_id(*place) for place in zip(*(rows[name].to_pylist() for name in _POSITION), strict=True)]


def to_shards(rows: pa.Table, shards: int) -> list[Message]:
    """Firings as matches (columns of ROWS), each on its way to the shard of its key."""
    pairs = zip(rows["correlation"].to_pylist(), rows["group_key"].to_pylist(), strict=True)
    of_row = np.array([shard_of(correlation, key, shards) for correlation, key in pairs], np.int64)
    return [to_shard(shard, rows.filter(pa.array(of_row == shard))) for shard in np.unique(of_row).tolist()]


def by_partition(found: pa.Table) -> list[Message]:
    """Detections, one message for each shard they came from, on the partition of its number."""
    shards = pc.unique(found["raw_partition"]).to_pylist()
    return [Message(arrow.encode(found.filter(pc.equal(found["raw_partition"], shard))), partition=shard) for shard in shards]
