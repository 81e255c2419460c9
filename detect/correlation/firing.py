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
from dataclasses import dataclass
from itertools import islice
from math import isfinite, isnan
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.clock import from_millis
from core.events import FIRINGS, POSITION, parse_event_id
from detect.correlation.definition import Correlation, Kind
from detect.correlation.members import ROWS, json_list
from detect.correlation.resolve import AGENCY, Resolved, Use, exercise_of, group_by, values_of
from detect.correlation.windows import MATCHES, Before, completions

Ints = npt.NDArray[np.int64]
Bucket = tuple[str, int]
"""A key, and the begin of a bucket in milliseconds."""

_POSITION: Final = tuple(column.name for column in POSITION)
FIRED: Final = pa.schema([field for field in FIRINGS.schema if field.name not in (*_POSITION, "fired_at")])
"""Firings before they have a position."""

_LAST: Final = ("received_at", "agency", "event_time", "group_key")
MOST_EVENTS: Final = 20
"""Named in the details."""


def bucket_of(at_ms: int, span_ms: int) -> int:
    """The begin of the bucket that a time falls into, milliseconds."""
    return at_ms // span_ms * span_ms


def firings(
    correlation: Correlation,
    rows: pa.Table,
    fired: Collection[Bucket] = (),
    within: Mapping[str, tuple[int, int]] | tuple[int, int] | None = None,
    before: Before | None = None,
) -> pa.Table:
    """The firings of `correlation` over its matches `rows` (columns of ROWS) but those in buckets of `fired`; columns of FIRED.

    `within` gives for each key, or for all, the times from and up to which matches may complete; None: any. `before` as in `completions`.
    In order of key and time. A match that lacks the value the condition is about must not be among `rows`.
    """
    rows = rows.combine_chunks()
    arrived = arrival(rows)
    at = rows["event_time"].cast(pa.int64())
    columns = [rows["member"], rows["group_key"], at, pa.array(arrived, pa.uint64()), rows["text"], rows["number"]]
    found = completions(correlation, pa.table(columns, schema=MATCHES), before)
    windows = _Windows(correlation.span_ms, rows, at.to_numpy(), arrived)
    values = dict(zip(found.rows.tolist(), found.values.tolist(), strict=True))
    places = windows.firsts(found.rows if within is None else found.rows[_within(rows, found.rows, within)])
    ended = [one for one in windows.ended(places) if (one.last["group_key"], one.bucket) not in fired]
    return pa.Table.from_pylist([_said(correlation, one, values[one.row]) for one in ended], schema=FIRED)


def _within(rows: pa.Table, some: Ints, ranges: Mapping[str, tuple[int, int]] | tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which of `some` happened within the range of their key."""
    at = rows["event_time"].cast(pa.int64()).to_numpy()[some]
    if isinstance(ranges, tuple):
        return (ranges[0] <= at) & (at <= ranges[1])  # type: ignore[no-any-return]
    keys = rows["group_key"].combine_chunks().take(pa.array(some)).dictionary_encode()
    limits = np.array([ranges[key] for key in keys.dictionary.to_pylist()], np.int64).reshape(-1, 2)[keys.indices.to_numpy()]
    return (limits[:, 0] <= at) & (at <= limits[:, 1])  # type: ignore[no-any-return]


def arrival(rows: pa.Table) -> Ints:
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


@dataclass(frozen=True, slots=True)
class _Ended:
    """A window that fires: the match that completed it and the number of its row, when its first match happened, its newest events."""

    row: int
    last: dict[str, Any]
    bucket: int
    first: int
    events: list[str]
    count: int


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

    def firsts(self, completing: Ints) -> Ints:
        """Of completing rows the places of those that are the first of their key and bucket."""
        place = np.sort(self._place[completing])
        stretch = np.stack((self._keys[place], self._at[place] // self._span))
        first = np.r_[True, np.any(stretch[:, 1:] != stretch[:, :-1], axis=0)][: len(place)]
        return place[first]  # type: ignore[no-any-return]

    def ended(self, places: Ints) -> list[_Ended]:
        """The windows that end at `places`."""
        begins = [self._begin(place) for place in places.tolist()]
        ranges = [(max(begin, place + 1 - MOST_EVENTS), place + 1) for begin, place in zip(begins, places.tolist(), strict=True)]
        newest = self._rows.take(pa.array(np.concatenate([np.empty(0, np.int64), *(self.order[slice(*one)] for one in ranges)])))
        events = iter(event_ids(newest))
        last = self._rows.select(_LAST).take(pa.array(self.order[places])).to_pylist()
        return [
            _Ended(
                row=int(self.order[place]),
                last=told,
                bucket=bucket_of(int(self._at[place]), self._span),
                first=int(self._at[begin]),
                events=list(islice(events, end - start)),
                count=int(self._until[place + 1] - self._until[begin]),
            )
            for place, begin, (start, end), told in zip(places.tolist(), begins, ranges, last, strict=True)
        ]

    def _begin(self, place: int) -> int:
        of_key = int(np.searchsorted(self._keys, self._keys[place]))
        return of_key + int(np.searchsorted(self._at[of_key : place + 1], self._at[place] - self._span))


def event_ids(rows: pa.Table) -> list[str]:
    """The ids of the events that matched."""
    own = pc.binary_join_element_wise(*(rows[name].cast(pa.string()) for name in _POSITION), "-")
    return pc.if_else(pc.equal(rows["event"], ""), own, rows["event"]).to_pylist()  # type: ignore[no-any-return]


def _said(correlation: Correlation, ended: _Ended, value: float) -> dict[str, Any]:
    last = ended.last
    number = None if isnan(value) else value
    details = {
        "group": group(correlation, last["group_key"]),
        "value": int(number) if number is not None and number.is_integer() else number,
        "timespan_s": correlation.span_ms // 1000,
        "first": from_millis(ended.first).isoformat(timespec="milliseconds"),
        "last": last["event_time"].isoformat(timespec="milliseconds"),
        "events": list(dict.fromkeys(ended.events)),
        "event_count": ended.count,
    }
    return last | {
        "event": ended.events[-1],
        "rule_id": correlation.id,
        "rule_title": correlation.title,
        "rule_level": correlation.level,
        "rule_hash": correlation.hash,
        "rule_tags": ",".join(correlation.tags),
        "bucket": from_millis(ended.bucket),
        "number": number,
        "details": json.dumps(details, ensure_ascii=False),
    }


def group(correlation: Correlation, key: str) -> dict[str, str]:
    """What a key says, by the names of `group_by`."""
    return dict(zip(group_by(correlation), values_of(key), strict=True))


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
    row["group_key"] = json_list(known[name] for name in use.keys) + exercise_of(fired["group_key"])
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
