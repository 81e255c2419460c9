"""From events and the matches of a plan to rows of `core.events.MATCHES`: what each match is to the correlations it counts for.

Invariants:
- An event without one of the values a correlation groups by, or without the value its condition is about, does not count.
- What a match is does not depend on the batch it came in.
- Until it is known which matches are needed they are codes (`detect.correlation.words`): texts are made of those alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.engine import Engine
from core.events import MATCHES, POSITION
from detect.correlation.definition import Correlation, Kind
from detect.correlation.resolve import EXERCISE, Resolved, Use
from detect.correlation.words import REAL, Floats, Ints, Reader, Words, of_number
from detect.rules import Rule
from detect.ruleset import Matches, Plan

_LATER: Final = ("shard_epoch", "shard", "shard_offset")
ROWS: Final = pa.schema([field for field in MATCHES.schema if field.name not in _LATER])
"""MATCHES as they are on their way to a shard."""

_SHORT: Final = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_ESCAPES: Final = str.maketrans({chr(code): f"\\u{code:04X}" for code in (*range(32), 0x2028, 0x2029)} | _SHORT)
"""What ClickHouse's toJSONString escapes, and how."""

_OF_EVENT: Final = (*(column.name for column in POSITION), "received_at", "agency", "event_time")


@dataclass(frozen=True, slots=True)
class Group:
    """The matches that count for one correlation, in the order of the events: of each the place of its event, what it is in codes, and
    how many it stands for. An exercise is part of the key, so it never meets what is real."""

    correlation: Correlation
    places: Ints
    members: Ints
    exercises: Ints
    keys: Sequence[Ints]
    values: Sequence[Ints]
    numbers: Floats
    stands_for: Ints

    def taken(self, some: Ints | npt.NDArray[np.bool_]) -> Group:
        """Some of the matches."""
        return replace(
            self,
            places=self.places[some],
            members=self.members[some],
            exercises=self.exercises[some],
            keys=[codes[some] for codes in self.keys],
            values=[codes[some] for codes in self.values],
            numbers=self.numbers[some],
            stands_for=self.stands_for[some],
        )


class Counted:
    """The matches in `events` that count, by correlation."""

    def __init__(self, events: pa.Table, words: Words, groups: Sequence[Group]) -> None:
        self._events = events
        self._words = words
        self.groups = groups

    def only(self, groups: Sequence[Group]) -> Counted:
        """These in place of all."""
        return Counted(self._events, self._words, groups)

    def key_codes(self, group: Group) -> Ints:
        """For each match a code of its key."""
        codes = self._words.together(group.keys) if group.keys else np.zeros(len(group.places), np.int64)
        return self._words.apart(codes, group.exercises)

    def value_codes(self, group: Group) -> Ints:
        """For each match of a value_count a code of its value."""
        return self._words.together(group.values)

    @cached_property
    def _order(self) -> Ints:
        """All matches of all groups in the order of the events."""
        return np.argsort(np.concatenate([np.empty(0, np.int64), *(one.places for one in self.groups)]), kind="stable")

    @cached_property
    def places(self) -> Ints:
        """The place of the event of each row."""
        return np.concatenate([np.empty(0, np.int64), *(one.places for one in self.groups)])[self._order]

    @cached_property
    def _said(self) -> pa.Table:
        """What the matches are, group after group."""
        parts = [
            {
                "correlation": pa.repeat(pa.scalar(one.correlation.hash), len(one.places)),
                "member": pa.array(one.members, pa.uint8()),
                "group_key": self._words.marked(self._words.listed(one.keys, len(one.places)), one.exercises),
                "text": self._texts(one),
                "number": pa.array(one.numbers, pa.float64(), from_pandas=True),
                "stands_for": pa.array(one.stands_for, pa.uint32()),
                "event": pa.repeat(pa.scalar(""), len(one.places)),
            }
            for one in self.groups
        ]
        return pa.concat_tables([_SAID.empty_table(), *(pa.table(part, schema=_SAID) for part in parts)]).combine_chunks()

    def _texts(self, group: Group) -> pa.Array:
        if group.correlation.kind is Kind.VALUE_COUNT:
            return self._words.listed(group.values, len(group.places))
        return pa.repeat(pa.scalar(""), len(group.places))

    def keyed(self) -> pa.Table:
        """Correlation and key of each row."""
        return self._said.select(["correlation", "group_key"])

    def in_order(self, values: Ints) -> Ints:
        """`values` of the rows of `keyed`, in the order of the events."""
        return values[self._order]

    def rows(self, some: Ints | None = None) -> pa.Table:
        """The rows, or `some` of them, in the order of the events; columns of ROWS."""
        order, places = (self._order, self.places) if some is None else (self._order[some], self.places[some])
        said, events = self._said.take(pa.array(order)), self._events.select(_OF_EVENT).take(pa.array(places))
        return pa.table([(events if name in _OF_EVENT else said)[name] for name in ROWS.names], schema=ROWS)


_SAID: Final = pa.schema([field for field in ROWS if field.name not in _OF_EVENT])


class Members:
    """The members of the correlations that run, over the matches of `plan`. For one thread at a time; close it."""

    def __init__(self, resolved: Resolved, plan: Plan, engine: Engine) -> None:
        places: dict[str, list[int]] = {}
        for place, compiled in enumerate(plan.rules):
            places.setdefault(compiled.rule.hash, []).append(place)
        uses = [(use, place) for use in resolved.uses if isinstance(use.of, Rule) for place in places.get(use.of.hash, ())]
        self._rules = np.unique(np.array([place for _, place in uses], np.int64))
        self._uses: dict[str, list[tuple[Use, int]]] = {}
        for use, place in uses:
            self._uses.setdefault(use.correlation.hash, []).append((use, place))
        self._reader = Reader([use for use, _ in uses], engine)

    def rows(self, events: pa.Table, matches: Matches) -> pa.Table:
        """The matches in `events` (columns of EVENTS) that count for a correlation, in the order of the events; columns of ROWS."""
        return self.counted(events, matches).rows()

    def counted(self, events: pa.Table, matches: Matches) -> Counted:
        """As `rows`, before texts are made. StoreError when the engine fails."""
        of_rule = {rule: matches.rows[matches.rules == rule] for rule in np.intersect1d(self._rules, matches.rules).tolist()}
        used = [[(use, of_rule[place]) for use, place in uses if place in of_rule] for uses in self._uses.values()]
        if not of_rule:
            return Counted(events, Words({}, {}, pa.array([], pa.string()), np.empty(0, np.int64), REAL), [])
        matched = np.zeros(events.num_rows, np.bool_)
        for rows in of_rule.values():
            matched[rows] = True
        slots = np.cumsum(matched) - 1
        needed = sorted({name for uses in used for use, _ in uses for name in (*use.keys, *use.values)})
        words = self._reader.read(events.select([*needed, EXERCISE]).filter(pa.array(matched)), needed)
        groups = [_group([_counted(use, rows, slots[rows], words) for use, rows in uses]) for uses in used if uses]
        return Counted(events, words, groups)

    def close(self) -> None:
        """End the statement. It is opened again when it is needed again."""
        self._reader.close()


def _counted(use: Use, places: Ints, slots: Ints, words: Words) -> Group:
    """The matches of a rule, at `places` of the events and `slots` of `words`, that count for one of its uses."""
    keys = [words.codes[name][slots] for name in use.keys]
    numbers = words.numbers[use.values[0]][slots] if of_number(use) else np.full(len(slots), np.nan)
    values = [] if of_number(use) else [words.codes[name][slots] for name in use.values]
    kept = np.logical_and.reduce([np.ones(len(slots), np.bool_), *(codes >= 0 for codes in (*keys, *values))])
    if of_number(use):
        kept &= ~np.isnan(numbers)
    one = np.ones(len(slots), np.int64)
    every = Group(use.correlation, places, one * use.member, words.exercise[slots], keys, values, numbers, one)
    return every if kept.all() else every.taken(kept)


def _group(parts: Sequence[Group]) -> Group:
    """Parts of one correlation as one."""
    if len(parts) == 1:
        return parts[0]
    joined = Group(
        parts[0].correlation,
        np.concatenate([one.places for one in parts]),
        np.concatenate([one.members for one in parts]),
        np.concatenate([one.exercises for one in parts]),
        [np.concatenate(codes) for codes in zip(*(one.keys for one in parts), strict=True)],
        [np.concatenate(codes) for codes in zip(*(one.values for one in parts), strict=True)],
        np.concatenate([one.numbers for one in parts]),
        np.concatenate([one.stands_for for one in parts]),
    )
    return joined.taken(np.lexsort((joined.members, joined.places)))


def json_list(values: Iterable[str]) -> str:
    """The list as the statement writes it, so that equal values give equal keys."""
    return "[" + ", ".join(f'"{value.translate(_ESCAPES)}"' for value in values) + "]"
