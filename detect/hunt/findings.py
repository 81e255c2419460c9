"""From matching events of history to messages of detections.

A detection of a hunt has a place in the hunt's own order (`core.topics`): epoch, the slice's number and the message's number in the slice
as one offset, and the row's place in the message. The event it is about is named in its details. All rows of a message were received on
one day, so that the store takes each message as one atomic insert.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.clock import millis
from core.events import DETECTIONS, POSITION
from detect.rules import Rule

BYTES_A_MESSAGE: Final = 4 << 20
"""Of lines, and as much again for what is said of them; a message has at least one row."""

_BESIDE_THE_LINE: Final = 1024
_MESSAGES_A_SLICE: Final = 1 << 24
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Maker:
    """Who finds: `epoch` names its order, `origin` says why it looked, `hunt` is its id."""

    epoch: str
    origin: str
    hunt: str


def event_ids(events: pa.Table) -> pa.Array:
    """The ids of `events` as text."""
    return pc.binary_join_element_wise(*(pc.cast(events[column.name], pa.string()) for column in POSITION), "-")


def detection_ids(rule: Rule, events: pa.Table) -> pa.Array:
    """The ids of the detections of `rule` in `events`: those the stream gives."""
    return pc.binary_join_element_wise(pa.scalar(rule.id), event_ids(events), ":")


def portions(events: pa.Table) -> Iterator[pa.Table]:
    """`events` in the pieces that become messages: each of one day of receipt, in order of day and then as they are."""
    days = events["received_at"].cast(pa.int64()).to_numpy() // _DAY_MS
    order = np.argsort(days, kind="stable")
    ordered, days = events.take(pa.array(order)), days[order]
    lengths = pc.binary_length(ordered["raw"]).to_numpy() if "raw" in ordered.column_names else np.zeros(len(days), np.int64)
    parts = (np.cumsum(lengths.astype(np.int64) + _BESIDE_THE_LINE) - 1) // BYTES_A_MESSAGE
    starts = np.flatnonzero(np.r_[True, (np.diff(days) != 0) | (np.diff(parts) != 0)]).tolist() if len(days) else []
    for start, end in zip(starts, [*starts, len(days)][1:], strict=True):
        yield ordered.slice(start, end - start)


def offset(slice_number: int, message: int) -> int:
    """The raw offset of a message of a slice; it grows with either."""
    return slice_number * _MESSAGES_A_SLICE + message


def detections(rule: Rule, events: pa.Table, levels: pa.Array, maker: Maker, raw_offset: int, now: datetime) -> pa.Table:
    """`events`, which `rule` matches, as rows of DETECTIONS at `raw_offset`, with the level of each."""
    count = events.num_rows
    ids = event_ids(events)
    said = {
        "rule_id": rule.id,
        "rule_title": rule.title,
        "rule_hash": rule.hash,
        "rule_tags": ",".join(rule.tags),
        "kind": "rule",
        "origin": maker.origin,
        "raw_epoch": maker.epoch,
        "raw_partition": 0,
        "raw_offset": raw_offset,
        "detected_at": now,
    }
    columns = {
        name: pa.repeat(pa.scalar(millis(value) if isinstance(value, datetime) else value, DETECTIONS.column(name).arrow.type), count)
        for name, value in said.items()
    }
    columns["rule_level"] = levels
    columns["raw_line"] = pa.array(np.arange(count), pa.uint32())
    columns["detection_id"] = pc.binary_join_element_wise(columns["rule_id"], ids, ":")
    end = f'"], "event_count": 1, "hunt": {json.dumps(maker.hunt)}}}'
    columns["details"] = pc.binary_join_element_wise(pa.scalar('{"events": ["'), ids, pa.scalar(end), "")
    ordered = [columns[name] if name in columns else events[name] for name in DETECTIONS.names]
    return pa.table(ordered, schema=DETECTIONS.schema)
