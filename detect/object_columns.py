"""The columns of events given as objects: members of a flat JSON object, and the values a deep one has.

A field of flat objects is three columns: f0 its text ('' when absent), has_f0 whether it has a value, low_f0 in lower case; the object
itself is the column `line`. A table may lack the columns of fields that none of its events has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from detect import literals
from detect.fields import LINE, Field, FieldKind, Fields, ObjectFields

LINES: Final = pa.schema([pa.field(LINE, pa.string(), nullable=False)])


class MemberFields:
    """The fields `names` as columns of their own."""

    absent_is_blank = False

    def __init__(self, names: Sequence[str]) -> None:
        self._fields = {name: _member(name, f"f{position}") for position, name in enumerate(names)}

    def field(self, name: str) -> Field | None:
        return self._fields.get(name)

    def line(self) -> Field:
        values = "arrayMap(pair -> pair.2, JSONExtractKeysAndValues(line, 'String'))"
        apart = values.replace("pair.2", "replaceAll(pair.2, '\\x01', ' ')")
        return Field(values, FieldKind.VALUES, LINE, joined=f"arrayStringConcat({apart}, '\\x01')")


def _member(name: str, column: str) -> Field:
    return Field(
        f"`{column}`",
        FieldKind.TEXT,
        column,
        size=1,
        there=f"JSONHas(line, {literals.string(name)})",
        present=f"`has_{column}`",
        folded=f"`low_{column}`",
    )


class Members:
    """The fields of an object as parts of its text, for witnesses."""

    absent_is_blank = False

    def field(self, name: str) -> Field | None:
        return Field(LINE, FieldKind.TEXT, LINE, member=name)

    def line(self) -> Field:
        return Field(LINE, FieldKind.TEXT, LINE, member="")


class MemberColumns:
    """Tables of the fields `names` of flat objects; `names` has the columns by the names of the fields."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = {name: f"f{position}" for position, name in enumerate(names)}
        self.fields: Fields = MemberFields(names)

    def extraction(self, names: Iterable[str]) -> str:
        """The statement that makes the columns of the fields `names` out of the column `line` of `Python(rows)`."""
        some = sorted(names)
        quoted = (name.replace("\\", "\\\\").replace("`", "\\`") for name in some)
        wanted = literals.string(f"Tuple({', '.join(f'`{name}` Nullable(String)' for name in quoted)})")
        values = []
        for number, name in enumerate(some, 1):
            value, f = f"extracted.{number}", self.names[name]
            values.append(f"ifNull({value}, '') AS {f}, isNotNull({value}) AS has_{f}, lowerUTF8({f}) AS low_{f}")
        return f"SELECT {', '.join(values)} FROM (SELECT JSONExtract(line, {wanted}) AS extracted FROM Python(rows))"

    def given(self, events: pa.Table, columns: Sequence[str]) -> pa.Table:
        nothing = pa.array([""]).take(pa.array(np.zeros(events.num_rows, np.int64)))
        no = pa.array(np.zeros(events.num_rows, np.uint8))
        made = {LINE: events.column(LINE)}  # the expressions of some tests look into it
        for column in columns:
            for name, otherwise in ((column, nothing), (f"has_{column}", no), (f"low_{column}", nothing)):
                if column != LINE:
                    at = events.schema.get_field_index(name)
                    made[name] = events.column(at) if at >= 0 else otherwise
        return pa.table(list(made.values()), schema=pa.schema([pa.field(name, one.type, nullable=False) for name, one in made.items()]))

    def columns(self, given: Sequence[str]) -> list[str]:
        return [f"`{name}`" for name in given]

    def lowered(self, column: str) -> str:
        return f"lower(`{column}`)"


class ValueColumns:
    """Tables of the columns that `ObjectFields` tells of."""

    def __init__(self, fields: ObjectFields) -> None:
        self.fields: Fields = fields

    def given(self, events: pa.Table, columns: Sequence[str]) -> pa.Table:
        return events.select([name for column in columns for name in ((column,) if column == LINE else (column, f"there_{column}"))])

    def columns(self, given: Sequence[str]) -> list[str]:
        return [f"`{name}`" for name in given]

    def lowered(self, column: str) -> str:
        return f"lower(`{column}`)"
