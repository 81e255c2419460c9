"""Which matches complete a correlation: pure functions over columns.

A match completes the correlation when the condition holds over all matches of its key that happened in the `span_ms` up to it (both ends
included), itself among them; of those of the same instant, the ones that arrived before it. So what completes is the same in whatever
pieces the matches are looked at, as long as each piece reaches back one span.

The engine's own window functions cannot say this: their ranges end with all rows of the same instant, and are at most 2^31 wide.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detect.correlation.definition import Bound, Correlation, Kind
from detect.tree import AllOf, AnyOf, Item, Negation, Node

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MATCHES: Final = pa.schema(
    [
        pa.field("member", pa.uint8(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("at", pa.int64(), nullable=False),
        pa.field("seq", pa.uint64(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("number", pa.float64()),
    ]
)
"""Matches of a correlation's members. `member`: place in its list; `key`: values of group-by; `at`: event time, milliseconds; `seq`: order
of arrival, one for an event; `text`, `number`: the field the condition is about (NULL where the event has none), for types of values."""

_NEVER: Final = np.iinfo(np.int64).min // 2


@dataclass(frozen=True, slots=True)
class Completions:
    """`rows` of the table that complete the correlation, ascending; `values`: the number the condition is about, NaN for boolean ones."""

    rows: Ints
    values: Floats


@dataclass(frozen=True, slots=True)
class Before:
    """For each match of a table how many matches of its window are not in the table, and the sum of their numbers."""

    count: Ints
    total: Floats


@dataclass(frozen=True, slots=True)
class _Window:
    """Matches in order of key, time and arrival: for each the first of its key, and the first of its window."""

    at: Ints
    member: Ints
    first: Ints
    start: Ints


def completions(correlation: Correlation, matches: pa.Table, before: Before | None = None) -> Completions:
    """The matches (columns of MATCHES) that complete `correlation`.

    `before` tells of an event_count, value_sum or value_avg what came before the table begins.
    """
    kept = _kept(correlation, matches)
    if not len(kept):
        return Completions(np.empty(0, np.int64), np.empty(0, np.float64))
    rows = matches.take(pa.array(kept))
    order, window = _windows(rows, correlation.span_ms)
    place = kept[order]
    earlier = Before(before.count[place], before.total[place]) if before else Before(np.zeros(len(place), np.int64), np.zeros(len(place)))
    values, holds = _judged(correlation, window, rows.take(pa.array(order)), earlier)
    found = np.argsort(kept[order[holds]], kind="stable")
    return Completions(kept[order[holds]][found], values[holds][found])


def _kept(correlation: Correlation, matches: pa.Table) -> Ints:
    """The matches that count: those that have the value that is asked about."""
    if not correlation.kind.of_values:
        return np.arange(matches.num_rows)
    column = "text" if correlation.kind is Kind.VALUE_COUNT else "number"
    return np.flatnonzero(matches[column].is_valid().to_numpy())


def _windows(rows: pa.Table, span: int) -> tuple[Ints, _Window]:
    key = rows["key"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    at, member = (rows[name].to_numpy().astype(np.int64) for name in ("at", "member"))
    order = np.lexsort((member, rows["seq"].to_numpy(), at, key))
    key, at = key[order], at[order]
    first = np.searchsorted(key, key)
    # One ascending line of times: each key's stretch lies further out than any window reaches back.
    stretch = int(at.max() - at.min()) + span + 1
    line = at - at.min() + key * stretch if (int(key[-1]) + 1) * stretch < np.iinfo(np.int64).max else None
    start = np.searchsorted(line, line - span) if line is not None else _starts(key, at, first, span)
    return order, _Window(at, member[order], first, np.maximum(start, first))


def _starts(key: Ints, at: Ints, first: Ints, span: int) -> Ints:
    """The same key by key, where one line would be too long for 64 bits."""
    ends = np.searchsorted(key, key, side="right")
    start = np.empty(len(key), np.int64)
    for low in np.unique(first):
        high = ends[low]
        start[low:high] = low + np.searchsorted(at[low:high], at[low:high] - span)
    return start


def _judged(correlation: Correlation, window: _Window, rows: pa.Table, before: Before) -> tuple[Floats, Flags]:
    """For each match the number, and whether the condition holds."""
    match correlation.kind:
        case Kind.EVENT_COUNT:
            values = (np.arange(len(window.at)) - window.start + 1 + before.count).astype(np.float64)
        case Kind.VALUE_COUNT:
            codes = rows["text"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
            values = _distinct(codes, window.start).astype(np.float64)
        case Kind.TEMPORAL:
            seen = _seen(correlation, window)
            if correlation.condition is not None:
                return np.full(len(window.at), np.nan), _boolean(correlation.condition, correlation, seen)
            values = seen.sum(axis=0).astype(np.float64)
        case Kind.TEMPORAL_ORDERED:
            values = _chained(correlation, window)
        case _:
            values = _of_numbers(correlation, rows["number"].to_numpy(), window.start, before)
    return values, _within(values, bounds_of(correlation))


def bounds_of(correlation: Correlation) -> tuple[Bound, ...]:
    """The bounds of its number: where it has none, all of its members are wanted."""
    if correlation.bounds:
        return correlation.bounds
    members = len(correlation.members) if correlation.condition is None else len(chain(correlation))
    return (Bound(">=", members),)


def _within(values: Floats, bounds: tuple[Bound, ...]) -> Flags:
    test: dict[str, Callable[[Any, Any], Any]] = {
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
        "=": np.equal,
        "!=": np.not_equal,
    }
    return np.logical_and.reduce([test[bound.relation](values, bound.value) for bound in bounds])  # type: ignore[no-any-return]


def _distinct(codes: Ints, start: Ints) -> Ints:
    """How many values each window holds: a match counts until its value comes again, or the window has left it behind."""
    place = np.arange(len(codes))
    order = np.argsort(codes, kind="stable")
    again = np.full(len(codes), len(codes), np.int64)
    same = codes[order][1:] == codes[order][:-1]
    again[order[:-1][same]] = order[1:][same]
    ends = np.minimum(again, np.searchsorted(start, place, side="right"))
    return place + 1 - np.cumsum(np.bincount(ends, minlength=len(codes) + 1))[: len(codes)]


def _of_numbers(correlation: Correlation, numbers: Floats, start: Ints, before: Before) -> Floats:
    if correlation.kind in (Kind.VALUE_SUM, Kind.VALUE_AVG):
        sums = np.concatenate(([0.0], np.cumsum(numbers)))
        place = np.arange(len(numbers))
        total = sums[place + 1] - sums[start] + before.total
        return total if correlation.kind is Kind.VALUE_SUM else total / (place - start + 1 + before.count)
    return np.fromiter(_quantiles(numbers.tolist(), start.tolist(), correlation.percentile / 100), np.float64)


def _quantiles(numbers: list[float], start: list[int], level: float) -> Iterator[float]:
    """The quantile of each window, between two values in proportion."""
    held: list[float] = []
    low = 0
    for number, begin in zip(numbers, start, strict=True):
        for gone in numbers[low:begin]:
            del held[bisect_left(held, gone)]
        low = begin
        insort(held, number)
        at = level * (len(held) - 1)
        below, above = held[floor(at)], held[ceil(at)]
        yield below + (above - below) * (at - floor(at))


def _latest(values: Ints, first: Ints) -> Ints:
    """The greatest of `values` of the same key up to each match."""
    # Later keys must not see earlier ones: they are lifted, key after key, above all that can stand before.
    ranks = np.cumsum(first == np.arange(len(first)))
    order = np.unique(values, return_inverse=True)
    lifted = order[1] + ranks * (len(order[0]) + 1)
    greatest = np.maximum.accumulate(lifted) - ranks * (len(order[0]) + 1)
    return order[0][greatest]  # type: ignore[no-any-return]


def _seen(correlation: Correlation, window: _Window) -> npt.NDArray[np.bool_]:
    """For each member and match, whether the window holds a match of that member."""
    return np.stack(
        [
            _latest(np.where(window.member == member, np.arange(len(window.at)), -1), window.first) >= window.start
            for member in range(len(correlation.members))
        ]
    )


def _boolean(node: Node, correlation: Correlation, seen: npt.NDArray[np.bool_]) -> Flags:
    match node:
        case Item(field=name):
            return seen[correlation.members.index(str(name))]  # type: ignore[no-any-return]
        case Negation(inner):
            return ~_boolean(inner, correlation, seen)
        case AllOf(nodes):
            return np.logical_and.reduce([_boolean(child, correlation, seen) for child in nodes])  # type: ignore[no-any-return]
        case AnyOf(nodes):
            return np.logical_or.reduce([_boolean(child, correlation, seen) for child in nodes])  # type: ignore[no-any-return]


def _chained(correlation: Correlation, window: _Window) -> Floats:
    """How many of the members, in their order, the longest chain in each window has.

    `begun` is the place where the latest begun chain of the first k members began, of the chains that have ended by then.
    """
    order = chain(correlation)
    begun = _latest(np.where(window.member == order[0], np.arange(len(window.at)), _NEVER), window.first)
    length = (begun >= window.start).astype(np.float64)
    for member in order[1:]:
        begun = _latest(np.where(window.member == member, begun, _NEVER), window.first)
        length += begun >= window.start
    return length


def chain(correlation: Correlation) -> list[int]:
    """The places of the members of a chain: all, or those a boolean condition wants to be there."""
    if correlation.condition is None:
        return list(range(len(correlation.members)))
    needed = _needed(correlation.condition)
    return [place for place, name in enumerate(correlation.members) if name in needed]


def _needed(node: Node) -> frozenset[str]:
    match node:
        case Item(field=name):
            return frozenset({str(name)})
        case Negation():
            return frozenset()
        case AllOf(nodes) | AnyOf(nodes):
            return frozenset().union(*map(_needed, nodes))
