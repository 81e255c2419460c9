"""From events and the matches of a plan to rows of `core.events.MATCHES`: what each match is to the correlations it counts for.

Invariants:
- An event without one of the values a correlation groups by, or without the value its condition is about, does not count.
- What a match is does not depend on the batch it came in.
- One statement for a whole batch, kept open: only rows that matched a member are looked at, and their fields are made text once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.engine import Engine, Stream
from core.errors import StoreError
from core.events import EVENTS, MATCHES, POSITION
from detect import predicates
from detect.correlation.definition import Kind
from detect.correlation.resolve import AGENCY, EXERCISE, Resolved, Use
from detect.event_columns import as_stored
from detect.fields import FieldKind, of_column
from detect.rules import Rule
from detect.ruleset import Matches, Plan

Ints = npt.NDArray[np.int64]

_LATER: Final = ("shard_epoch", "shard", "shard_offset")
ROWS: Final = pa.schema([field for field in MATCHES.schema if field.name not in _LATER])
"""MATCHES as they are on their way to a shard."""

_SHORT: Final = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_ESCAPES: Final = str.maketrans({chr(code): f"\\u{code:04X}" for code in (*range(32), 0x2028, 0x2029)} | _SHORT)
"""What ClickHouse's toJSONString escapes, and how."""

_OF_EVENT: Final = (*(column.name for column in POSITION), "received_at", "agency", "event_time")


class Members:
    """The members of the correlations that run, over the matches of `plan`. For one thread at a time; close it."""

    def __init__(self, resolved: Resolved, plan: Plan, engine: Engine) -> None:
        self._engine = engine
        places: dict[str, list[int]] = {}
        for place, compiled in enumerate(plan.rules):
            places.setdefault(compiled.rule.hash, []).append(place)
        self._uses: dict[int, list[Use]] = {}
        for use in resolved.uses:
            for place in places.get(use.of.hash, ()) if isinstance(use.of, Rule) else ():
                self._uses.setdefault(place, []).append(use)
        self._statement = _Statement([use for uses in self._uses.values() for use in uses])
        self._stream: Stream | None = None

    def rows(self, events: pa.Table, matches: Matches) -> pa.Table:
        """The matches in `events` (columns of EVENTS) that count for a correlation, in the order of the events; columns of ROWS."""
        return self.numbered(events, matches)[0]

    def numbered(self, events: pa.Table, matches: Matches) -> tuple[pa.Table, Ints]:
        """As `rows`, with the place in `events` of each. StoreError when the engine fails."""
        of_rule = {rule: matches.rows[matches.rules == rule] for rule in np.unique(matches.rules).tolist() if rule in self._uses}
        if not of_rule:
            return ROWS.empty_table(), np.empty(0, np.int64)
        events_at = np.unique(np.concatenate(list(of_rule.values())))
        told = _marked(self._told(events.select(self._statement.columns).take(pa.array(events_at))), events, events_at)
        places: list[Ints] = []
        parts: list[dict[str, pa.Array]] = []
        for rule, rows in of_rule.items():
            found = _Told(told if len(rows) == len(events_at) else told.take(pa.array(np.searchsorted(events_at, rows))))
            for use in self._uses[rule]:
                counted = _counted(use, found)
                kept = np.flatnonzero(counted.pop("kept").to_numpy(zero_copy_only=False))
                every = len(kept) == len(rows)
                places.append(rows if every else rows[kept])
                parts.append(counted if every else {name: values.take(pa.array(kept)) for name, values in counted.items()})
        place = np.concatenate(places)
        said = pa.concat_tables([pa.table(part) for part in parts])
        order = np.lexsort((said["member"].to_numpy(), said["correlation"].combine_chunks().dictionary_encode().indices.to_numpy(), place))
        return _as_rows(events.select(_OF_EVENT).take(pa.array(place[order])), said.take(pa.array(order))), place[order]

    def _told(self, events: pa.Table) -> pa.Table:
        if self._stream is None:
            self._stream = self._engine.stream(self._statement.sql, events.schema)
        try:
            return self._stream.run(events).combine_chunks()
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """End the statement. It is opened again when it is needed again."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class _Statement:
    """For each column a use needs its value as JSON text (`text_...`), NULL where the event has none; for numbers `number_...` too."""

    def __init__(self, uses: Sequence[Use]) -> None:
        self.columns = sorted({AGENCY, *(name for use in uses for name in (*use.keys, *use.values))})  # a table has a column
        numbers = sorted({use.values[0] for use in uses if _of_number(use)})
        texts = [f"{_text(name)} AS `text_{name}`" for name in self.columns]
        told = ", ".join([*texts, *(f"{_number(name)} AS `number_{name}`" for name in numbers)])
        stored = ", ".join(as_stored(EVENTS.column(name)) for name in self.columns)
        self.sql = f"SELECT {told} FROM (SELECT {stored} FROM Python(rows)) SETTINGS output_format_json_escape_forward_slashes = 0"


def _of_number(use: Use) -> bool:
    return use.correlation.kind.of_values and use.correlation.kind is not Kind.VALUE_COUNT


def _text(column: str) -> str:
    text = predicates.text(of_column(EVENTS.column(column)))
    return f"if({text} = '', NULL, toJSONString({text}))"


def _number(column: str) -> str:
    field = of_column(EVENTS.column(column))
    number = f"toFloat64OrNull({field.sql})" if field.kind is FieldKind.TEXT else f"toNullable(toFloat64({field.sql}))"
    return f"if(isFinite({number}), {number}, NULL)"


def _marked(told: pa.Table, events: pa.Table, events_at: Ints) -> pa.Table:
    """`told` with the numbers of exercises, when there is any among the events."""
    exercise = events[EXERCISE].take(pa.array(events_at))
    return told.append_column(EXERCISE, exercise) if pc.any(pc.not_equal(exercise, "")).as_py() else told


class _Told:
    """What the statement told of the matches of a rule; lists that several uses ask for are made once."""

    def __init__(self, columns: pa.Table) -> None:
        self.columns = columns
        self._lists: dict[tuple[str, ...], pa.Array] = {}

    def listed(self, names: Sequence[str]) -> pa.Array:
        """The columns' texts as one JSON list; NULL where one has no value."""
        if (wanted := tuple(names)) not in self._lists:
            self._lists[wanted] = _listed(self.columns, wanted, self.columns.num_rows)
        return self._lists[wanted]

    def keyed(self, names: Sequence[str]) -> pa.Array:
        """The key of these columns: `listed`, and behind it the number of the exercise (`resolve.exercise_of`)."""
        listed = self.listed(names)
        if EXERCISE not in self.columns.column_names:
            return listed
        return pc.binary_join_element_wise(listed, self.columns[EXERCISE].combine_chunks(), "")


def _counted(use: Use, told: _Told) -> dict[str, pa.Array]:
    """What the matches of a rule are to one of its uses; `kept` says which of them count."""
    length = told.columns.num_rows
    key = told.keyed(use.keys)
    kept = key.is_valid()
    text = pa.repeat(pa.scalar(""), length)
    number = pa.nulls(length, pa.float64())
    if use.correlation.kind is Kind.VALUE_COUNT:
        values = told.listed(use.values)
        kept, text = pc.and_(kept, values.is_valid()), pc.fill_null(values, "")
    elif _of_number(use):
        number = told.columns[f"number_{use.values[0]}"].combine_chunks()
        kept = pc.and_(kept, number.is_valid())
    return {
        "kept": kept,
        "correlation": pa.repeat(pa.scalar(use.correlation.hash), length),
        "member": pa.repeat(pa.scalar(use.member, pa.uint8()), length),
        "group_key": pc.fill_null(key, ""),
        "text": text,
        "number": number,
    }


def _listed(told: pa.Table, columns: Sequence[str], length: int) -> pa.Array:
    if not columns:
        return pa.repeat(pa.scalar("[]"), length)
    texts = [told[f"text_{name}"].combine_chunks().cast(pa.string()) for name in columns]
    return pc.binary_join_element_wise("[", pc.binary_join_element_wise(*texts, ", "), "]", "")


def json_list(values: Iterable[str]) -> str:
    """The list as the statement writes it, so that equal values give equal keys."""
    return "[" + ", ".join(f'"{value.translate(_ESCAPES)}"' for value in values) + "]"


def _as_rows(events: pa.Table, said: pa.Table) -> pa.Table:
    given = {name: events[name] for name in _OF_EVENT} | {name: said[name] for name in said.column_names}
    given["stands_for"] = pa.repeat(pa.scalar(1, pa.uint32()), said.num_rows)
    given["event"] = pa.repeat(pa.scalar(""), said.num_rows)
    return pa.table([given[name] for name in ROWS.names], schema=ROWS)
