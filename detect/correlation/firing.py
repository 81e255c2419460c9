"""When a correlation fires, the same on the stream, in a hunt and in a replay; and what a firing is to the correlations made of it.

A correlation fires at the first match that completes it (`detect.correlation.windows`) in each bucket: for every key, time is cut into
stretches as long as the timespan, counted from 1970. So a scan of a million packets is one finding a timespan and not a million, and
whether a key has fired in a bucket can be looked up: no timer and no memory of a process decides. A firing that is silent from its
last one on would depend on the order in which late matches come; a bucket does not.

Where the condition only has lower bounds and no `not`, further matches cannot undo a firing, so the buckets that fire are the same in
whatever order and batches the matches arrive. Other conditions (`lt`, `eq`, an average, `not`) are judged over what has arrived.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from math import isfinite, isnan
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.clock import from_millis, millis
from core.events import FIRINGS, POSITION, event_id, parse_event_id
from detect.correlation.definition import Correlation, Kind
from detect.correlation.members import ROWS, json_list
from detect.correlation.resolve import AGENCY, Resolved, Use, group_by
from detect.correlation.windows import MATCHES, completions

Ints = npt.NDArray[np.int64]
Bucket = tuple[str, int]
"""A key, and the begin of a bucket in milliseconds."""

_POSITION: Final = tuple(column.name for column in POSITION)
FIRED: Final = pa.schema([field for field in FIRINGS.schema if field.name not in (*_POSITION, "fired_at")])
"""Firings before they have a position."""

_MOST_EVENTS: Final = 20  # named in the details


def bucket_of(at_ms: int, span_ms: int) -> int:
    """The begin of the bucket that a time falls into, milliseconds."""
    return at_ms // span_ms * span_ms


def firings(
    correlation: Correlation, rows: pa.Table, fired: Collection[Bucket] = (), within: Mapping[str, tuple[int, int]] | None = None
) -> pa.Table:
    """The firings of `correlation` over its matches `rows` (columns of ROWS) but those in buckets of `fired`; columns of FIRED.

    `within` gives for each key the times from and up to which matches may complete; None: any. In order of key and time. A match that
    lacks the value the condition is about must not be among `rows`.
    """
    rows = rows.combine_chunks()
    arrived = _arrival(rows)
    at = rows["event_time"].cast(pa.int64())
    columns = [rows["member"], rows["group_key"], at, pa.array(arrived, pa.uint64()), rows["text"], rows["number"]]
    found = completions(correlation, pa.table(columns, schema=MATCHES))
    windows = _Windows(correlation.span_ms, rows, at.to_numpy(), arrived)
    said = []
    values = dict(zip(found.rows.tolist(), found.values.tolist(), strict=True))
    for place in windows.firsts(found.rows if within is None else found.rows[_within(rows, found.rows, within)]):
        last = windows.newest(place)[-1]
        begin = bucket_of(millis(last["event_time"]), correlation.span_ms)
        if (last["group_key"], begin) not in fired:
            said.append(_said(correlation, windows, place, begin, values[int(windows.order[place])]))
    return pa.Table.from_pylist(said, schema=FIRED)


def _within(rows: pa.Table, some: Ints, ranges: Mapping[str, tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """Which of `some` happened within the range of their key."""
    keys = rows["group_key"].combine_chunks().take(pa.array(some)).dictionary_encode()
    at = rows["event_time"].cast(pa.int64()).to_numpy()[some]
    limits = np.array([ranges[key] for key in keys.dictionary.to_pylist()], np.int64).reshape(-1, 2)[keys.indices.to_numpy()]
    return (limits[:, 0] <= at) & (at <= limits[:, 1])  # type: ignore[no-any-return]


def _arrival(rows: pa.Table) -> Ints:
    """For each match its place in the order in which the events reached us; of one event, in the order of the members."""
    position = {name: rows[name].combine_chunks() for name in _POSITION}
    nested = np.flatnonzero(pc.not_equal(rows["event"], "").to_numpy())
    if len(nested):  # a firing happened with the event that completed it
        lists = {name: column.to_pylist() for name, column in position.items()}
        for row in nested.tolist():
            for name, value in zip(_POSITION, parse_event_id(rows["event"][row].as_py()), strict=True):
                lists[name][row] = value
        position = {name: pa.array(lists[name], column.type) for name, column in position.items()}
    table = pa.table({"received_at": rows["received_at"], **position, "member": rows["member"]})
    arrived = np.empty(rows.num_rows, np.int64)
    arrived[pc.sort_indices(table, [(name, "ascending") for name in table.column_names]).to_numpy()] = np.arange(rows.num_rows)
    return arrived


class _Windows:
    """The matches in order of key, time and arrival; a place is a place in `order`."""

    def __init__(self, span_ms: int, rows: pa.Table, at: Ints, arrived: Ints) -> None:
        keys = rows["group_key"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
        self._span = span_ms
        self._rows = rows
        self.order = np.lexsort((arrived, at, keys))
        self._place = np.empty(len(at), np.int64)
        self._place[self.order] = np.arange(len(at))
        self._at = at[self.order]
        self._keys = keys[self.order]
        self._until = np.concatenate(([0], np.cumsum(rows["stands_for"].to_numpy()[self.order], dtype=np.int64)))

    def firsts(self, completing: Ints) -> list[int]:
        """Of completing rows the places of those that are the first of their key and bucket."""
        place = np.sort(self._place[completing])
        stretch = np.stack((self._keys[place], self._at[place] // self._span))
        first = np.r_[True, np.any(stretch[:, 1:] != stretch[:, :-1], axis=0)][: len(place)]
        return place[first].tolist()  # type: ignore[no-any-return]

    def newest(self, place: int, most: int = 1) -> list[dict[str, Any]]:
        """The last rows of the window that ends at `place`, in order."""
        begin = max(self._begin(place), place + 1 - most)
        return self._rows.take(pa.array(self.order[begin : place + 1])).to_pylist()  # type: ignore[no-any-return]

    def extent(self, place: int) -> tuple[int, int]:
        """When the window that ends at `place` begins with a match, in milliseconds, and how many matches it holds."""
        begin = self._begin(place)
        return int(self._at[begin]), int(self._until[place + 1] - self._until[begin])

    def _begin(self, place: int) -> int:
        of_key = int(np.searchsorted(self._keys, self._keys[place]))
        return of_key + int(np.searchsorted(self._at[of_key : place + 1], self._at[place] - self._span))


def _said(correlation: Correlation, windows: _Windows, place: int, begin: int, value: float) -> dict[str, Any]:
    newest = windows.newest(place, _MOST_EVENTS)
    last = newest[-1]
    number = None if isnan(value) else value
    first, count = windows.extent(place)
    details = {
        "group": group(correlation, last["group_key"]),
        "value": int(number) if number is not None and number.is_integer() else number,
        "timespan_s": correlation.span_ms // 1000,
        "first": from_millis(first).isoformat(timespec="milliseconds"),
        "last": last["event_time"].isoformat(timespec="milliseconds"),
        "events": list(dict.fromkeys(_event(row) for row in newest)),
        "event_count": count,
    }
    return {
        "received_at": last["received_at"],
        "agency": last["agency"],
        "event_time": last["event_time"],
        "event": _event(last),
        "rule_id": correlation.id,
        "rule_title": correlation.title,
        "rule_level": correlation.level,
        "rule_hash": correlation.hash,
        "rule_tags": ",".join(correlation.tags),
        "group_key": last["group_key"],
        "bucket": from_millis(begin),
        "number": number,
        "details": json.dumps(details, ensure_ascii=False),
    }


def _event(row: Mapping[str, Any]) -> str:
    return row["event"] or event_id(*(row[name] for name in _POSITION))


def group(correlation: Correlation, key: str) -> dict[str, str]:
    """What a key says, by the names of `group_by`."""
    return dict(zip(group_by(correlation), json.loads(key), strict=True))


class Nested:
    """Firings as matches of the correlations that are made of them."""

    def __init__(self, resolved: Resolved) -> None:
        self._uses: dict[str, list[tuple[Correlation, Use]]] = {}
        for use in resolved.uses:
            if isinstance(use.of, Correlation):
                self._uses.setdefault(use.of.hash, []).append((use.of, use))

    def rows(self, fired: pa.Table) -> pa.Table:
        """What `fired` (columns of FIRED and a position) is to others; columns of ROWS, in the order of `fired`."""
        used = fired.filter(pc.is_in(fired["rule_hash"], pa.array(list(self._uses), pa.string())))
        rows = [row for one in used.to_pylist() for inner, use in self._uses[one["rule_hash"]] if (row := _as_match(inner, use, one))]
        return pa.Table.from_pylist(rows, schema=ROWS)


def _as_match(inner: Correlation, use: Use, fired: Mapping[str, Any]) -> dict[str, Any] | None:
    """None when it does not count: it has no number where the condition is about one."""
    outer = use.correlation
    known = {AGENCY: fired["agency"], **group(inner, fired["group_key"])}
    values = [known[name] for name in use.values]
    row = {name: fired[name] for name in (*_POSITION, "received_at", "agency", "event_time", "event")}
    row |= {"correlation": outer.hash, "member": use.member, "stands_for": 1, "text": "", "number": None}
    row["group_key"] = json_list(known[name] for name in use.keys)
    if outer.kind is Kind.VALUE_COUNT:
        row["text"] = json_list(values)
    elif outer.kind.of_values:
        row["number"] = _number(values[0]) if values else fired["number"]
        if row["number"] is None:
            return None
    return row


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
