"""The columns of events that correlations group by and count, in codes: equal values have equal codes, whatever columns they are of.

Texts are made of the distinct values of a batch alone, by one statement that is kept open.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.engine import Engine, Stream
from core.errors import StoreError
from core.events import EVENTS, Column
from detect import predicates
from detect.correlation.definition import Kind
from detect.correlation.resolve import AGENCY, EXERCISE, Use
from detect.event_columns import as_stored
from detect.fields import FieldKind, of_column

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

REAL: Final = pa.array([""])
"""The exercises of events that are none."""
_MOST: Final = np.iinfo(np.int64).max


def of_number(use: Use) -> bool:
    """Whether its condition is about a number."""
    return use.correlation.kind.of_values and use.correlation.kind is not Kind.VALUE_COUNT


@dataclass(frozen=True, slots=True)
class Words:
    """For each of some events the codes of its values by column, -1 where it has none; and numbers, NaN where it has none.

    `texts`: by code the value as JSON text. `exercise`: of each event the place of its exercise in `exercises`.
    """

    codes: Mapping[str, Ints]
    numbers: Mapping[str, Floats]
    texts: pa.Array
    exercise: Ints
    exercises: pa.Array

    def together(self, columns: Sequence[Ints]) -> Ints:
        """One code for the values of `columns`, which are set."""
        size = max(len(self.texts), 1)
        code, most = columns[0], size
        for column in columns[1:]:
            if most > _MOST // size:
                distinct, code = np.unique(code, return_inverse=True)
                most = len(distinct)
            code, most = code * size + column, most * size
        return code

    def apart(self, codes: Ints, exercise: Ints) -> Ints:
        """`codes` that differ where the exercise does."""
        if self.exercises.equals(REAL):
            return codes
        return np.unique(codes, return_inverse=True)[1] * len(self.exercises) + exercise

    def marked(self, keys: pa.Array, exercise: Ints) -> pa.Array:
        """`keys` with the number of the exercise behind each (`resolve.exercise_of`)."""
        if self.exercises.equals(REAL):
            return keys
        return pc.binary_join_element_wise(keys, self.exercises.take(pa.array(exercise)), "")

    def listed(self, columns: Sequence[Ints], length: int) -> pa.Array:
        """The values of `columns`, which are set, as one JSON list each."""
        if not columns:
            return pa.repeat(pa.scalar("[]"), length)
        texts = [self.texts.take(pa.array(column)) for column in columns]
        return pc.binary_join_element_wise("[", pc.binary_join_element_wise(*texts, ", "), "]", "")


class Reader:
    """Reads what `uses` need. For one thread at a time; close it."""

    def __init__(self, uses: Sequence[Use], engine: Engine) -> None:
        self._engine = engine
        texts = {name for use in uses for name in (*use.keys, *(() if of_number(use) else use.values))}
        self._texts = sorted({AGENCY, *texts})  # a table has a column
        self._numbers = sorted({use.values[0] for use in uses if of_number(use)})
        self._columns = [EVENTS.column(name) for name in sorted({*self._texts, *self._numbers})]
        self._stream: Stream | None = None

    def read(self, events: pa.Table, needed: Collection[str]) -> Words:
        """The values of the columns `needed` of `events`, which are some. StoreError when the engine fails."""
        coded = {name: events[name].combine_chunks().dictionary_encode() for name in needed}
        length = max([1, *(len(column.dictionary) for column in coded.values())])
        told = self._run(pa.table([_padded(column, coded, length) for column in self._columns], schema=self._schema))
        place = {name: pc.fill_null(column.indices, -1).to_numpy().astype(np.int64) for name, column in coded.items()}
        names = [name for name in self._texts if name in coded]
        distinct = [told[f"text_{name}"].slice(0, len(coded[name].dictionary)).cast(pa.string()) for name in names]
        texts = pa.concat_arrays([pa.array([], pa.string()), *distinct]).dictionary_encode()
        code = pc.fill_null(texts.indices, -1).to_numpy().astype(np.int64)
        ends = np.cumsum([0, *map(len, distinct)])
        exercise = events[EXERCISE].combine_chunks().dictionary_encode()
        return Words(
            {name: _at(code[start:end], place[name], -1) for name, start, end in zip(names, ends[:-1], ends[1:], strict=True)},
            {name: _at(_floats(told[f"number_{name}"]), place[name], np.nan) for name in self._numbers if name in coded},
            texts.dictionary,
            exercise.indices.to_numpy().astype(np.int64),
            exercise.dictionary,
        )

    @property
    def _schema(self) -> pa.Schema:
        return pa.schema([column.arrow for column in self._columns])

    def _run(self, rows: pa.Table) -> dict[str, pa.Array]:
        if self._stream is None:
            self._stream = self._engine.stream(self._sql, self._schema)
        try:
            told = self._stream.run(rows)
        except StoreError:
            self.close()
            raise
        return {name: told[name].combine_chunks() for name in told.column_names}

    @property
    def _sql(self) -> str:
        """For each column its value as JSON text (`text_...`), NULL where there is none; for numbers `number_...`."""
        texts = [f"{_text(name)} AS `text_{name}`" for name in self._texts]
        told = ", ".join([*texts, *(f"{_number(name)} AS `number_{name}`" for name in self._numbers)])
        stored = ", ".join(as_stored(column) for column in self._columns)
        return f"SELECT {told} FROM (SELECT {stored} FROM Python(rows)) SETTINGS output_format_json_escape_forward_slashes = 0"

    def close(self) -> None:
        """End the statement. It is opened again when it is needed again."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _padded(column: Column, coded: Mapping[str, pa.DictionaryArray], length: int) -> pa.Array:
    """The distinct values of a column with as many blanks behind them as make `length`."""
    values = coded[column.name].dictionary if column.name in coded else pa.array([], column.arrow.type)
    blank: Any = None if column.nullable else "" if column.kind.is_text else 0
    return pa.concat_arrays([values, pa.repeat(pa.scalar(blank, column.arrow.type), length - len(values))])


def _at(values: npt.NDArray[Any], places: Ints, blank: float) -> npt.NDArray[Any]:
    """`values` at `places`; `blank` at place -1."""
    return np.append(values, blank).astype(values.dtype)[places]


def _floats(column: pa.Array) -> Floats:
    return pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()  # type: ignore[no-any-return]


def _text(column: str) -> str:
    text = predicates.text(of_column(EVENTS.column(column)))
    return f"if({text} = '', NULL, toJSONString({text}))"


def _number(column: str) -> str:
    field = of_column(EVENTS.column(column))
    number = f"toFloat64OrNull({field.sql})" if field.kind is FieldKind.TEXT else f"toNullable(toFloat64({field.sql}))"
    return f"if(isFinite({number}), {number}, NULL)"
