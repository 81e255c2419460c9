"""Matches of indicators as detections: rows of `core.events.DETECTIONS`, one for each event and indicator that meet.

The rule of such a detection is the feed (`indicator-<feed>`); its level follows the confidence. What was met is in `details`, but for what
is marked TLP:RED: that is named by its hash alone, and found under it by those who may write indicators.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core import metrics
from core.clock import Clock, millis
from core.events import DETECTIONS
from detect.indicators.hashing import Ints
from detect.indicators.index import COLUMNS, Index, Matches
from detect.indicators.library import Library
from detect.indicators.model import RED

KIND: Final = "indicator"
_POSITION: Final = ("raw_epoch", "raw_partition", "raw_offset", "raw_line")
_HIGH: Final = 80
_MEDIUM: Final = 50


class Finder:
    """What of the library is met in batches of events. For one thread at a time, like the detector that calls it."""

    def __init__(self, library: Library, clock: Clock) -> None:
        self._library = library
        self._clock = clock

    def find(self, events: pa.Table) -> tuple[Ints, pa.Table]:
        """The places in `events` and the detections of what was met there, in the order of the events."""
        now = self._clock.now()
        index = self._library.index
        matches = index.match(events, millis(now))
        found = detections(index, matches, events.take(pa.array(matches.rows)), now)
        for counted in found["rule_id"].value_counts().to_pylist():
            metrics.DETECTIONS.labels(counted["values"]).inc(counted["counts"])
        return matches.rows, found


def detections(index: Index, matches: Matches, rows: pa.Table, now: datetime) -> pa.Table:
    """One detection on the stream for each match; `rows` are the events of the matches."""
    of, which = _distinct(matches)
    said = [about(index, indicator, COLUMNS[column]) for indicator, column in of]
    columns = {name: pa.array([one[name] for one in said], pa.string()).take(pa.array(which)) for name in RULE_COLUMNS}
    event_id = pc.binary_join_element_wise(*(pc.cast(rows.column(name), pa.string()) for name in _POSITION), "-")
    columns["detection_id"] = pc.binary_join_element_wise(columns["rule_id"], event_id, columns["indicator_hash"], ":")
    columns["origin"] = pa.repeat(pa.scalar("stream"), len(which))
    columns["detected_at"] = pa.array(np.full(len(which), millis(now)), pa.timestamp("ms", "UTC"))
    return pa.table([columns[name] if name in columns else rows.column(name) for name in DETECTIONS.names], schema=DETECTIONS.schema)


RULE_COLUMNS: Final = ("rule_id", "rule_title", "rule_level", "rule_hash", "rule_tags", "kind", "details", "indicator_hash")


def about(index: Index, indicator: int, column: str, more: Mapping[str, Any] | None = None) -> dict[str, str]:
    """What every detection of an indicator met in `column` says: RULE_COLUMNS. `more` goes into its details."""
    row = index.rows.slice(indicator, 1).to_pylist()[0]
    feed, kind, tlp = row["feed"], row["type"], row["tlp"]
    ended = row["valid_until"]
    details = {
        "indicator": row["value"],
        "type": kind,
        "feed": feed,
        "column": column,
        "tlp": tlp,
        "confidence": row["confidence"],
        "valid_until": ended.isoformat().replace("+00:00", "Z") if ended else None,
        "hash": hash_of(kind, row["value"]),
        **(more or {}),
    }
    if tlp == RED:
        del details["indicator"]
    version = f"{feed}\0{kind}\0{row['import_id']}"
    return {
        "rule_id": f"indicator-{feed}",
        "rule_title": f"Known-bad {kind} of feed {feed}",
        "rule_level": "high" if row["confidence"] >= _HIGH else "medium" if row["confidence"] >= _MEDIUM else "low",
        "rule_hash": hashlib.sha256(version.encode()).hexdigest()[:16],
        "rule_tags": f"tlp.{tlp}",
        "kind": KIND,
        "details": json.dumps(details, ensure_ascii=False, separators=(",", ":")),
        "indicator_hash": details["hash"],
    }


def hash_of(kind: str, value: str) -> str:
    """16 hexadecimal digits that name an indicator wherever its value is not to be shown (SHA-256 of `type:value`)."""
    return hashlib.sha256(f"{kind}:{value}".encode()).hexdigest()[:16]


def _distinct(matches: Matches) -> tuple[Sequence[tuple[int, int]], Ints]:
    """The different pairs of indicator and column, and which of them each match is."""
    pairs, which = np.unique(matches.indicators * len(COLUMNS) + matches.columns, return_inverse=True)
    return [divmod(pair, len(COLUMNS)) for pair in pairs.tolist()], which


def merged(rows: Ints, found: pa.Table, more_rows: Ints, more: pa.Table) -> tuple[Ints, pa.Table]:
    """Two lots of detections in one, in the order of their events' places."""
    if not len(more_rows):
        return rows, found
    every = np.concatenate([rows, more_rows])
    order = np.argsort(every, kind="stable")
    return every[order], pa.concat_tables([found, more]).take(pa.array(order))
