"""Which SQL expression holds a Sigma field, and of what kind it is.

Two resolvers give the same compiler its fields: `EventFields` for the table of events, `ObjectFields` for an event given as an object.

Names, in production: a field is a column of `core.events.EVENTS` by the column's own name or one of its Sigma names. Sigma's names have
case; where no name fits exactly, one that differs only in case is taken, since no two columns' names do. `transport` is Sigma's, the
protocol, and not how the line came to us. A field that fits no column is
absent from every event: `field: null` and `exists: false` hold on it and nothing else does, so a rule that needs it can never fire (the
compiler says so) while a rule that merely excludes by it goes on without the exclusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from core.events import ENRICHED, INTAKE, PARSED, Column, Kind


class FieldKind(Enum):
    """How a field is stored, and so how it is tested."""

    TEXT = "text"  # String, '' means absent
    NUMBER = "number"  # an unsigned integer, NULL means absent where it is nullable
    ADDRESS = "address"  # IPv6 (IPv4 mapped into it), NULL means absent
    TIME = "time"  # DateTime64 in UTC
    VALUES = "values"  # Array(String): every value the field has, as text; empty means absent


@dataclass(frozen=True, slots=True)
class Field:
    """A field's SQL. `column` is the column it reads; `size` ranks how long its texts are (0 a word, 1 a text, 2 the whole line).

    `there` tells in SQL whether the field is there at all, where that is not the same as having a value; `present` whether a TEXT has a
    value, where '' is one; `folded` is then the SQL of its lower-cased text. Where `column` is the text of an object, `member` is the name
    of the field in it, '' for all of them. `joined` is the SQL of all VALUES in one text, a character that is not printable between them.
    """

    sql: str
    kind: FieldKind
    column: str
    nullable: bool = False
    size: int = 0
    there: str = ""
    present: str = ""
    folded: str = ""
    member: str | None = None
    joined: str = ""


class Fields(Protocol):
    """Where the compiler gets its fields. `absent_is_blank`: whether an absent field passes a test for the empty text."""

    absent_is_blank: bool

    def field(self, name: str) -> Field | None:
        """The field called `name`; None when no event has one."""
        ...

    def line(self) -> Field:
        """What a keyword is searched in."""
        ...


def _kind(column: Column) -> FieldKind:
    if column.kind.is_text:
        return FieldKind.TEXT
    if column.kind.is_number:
        return FieldKind.NUMBER
    return FieldKind.ADDRESS if column.kind is Kind.IP else FieldKind.TIME


def of_column(column: Column) -> Field:
    """The field that is a column of the events."""
    size = 2 if column.name == "raw" else int(column.kind is Kind.TEXT)
    return Field(f"`{column.name}`", _kind(column), column.name, column.nullable, size)


class EventFields:
    """The fields of a row of `core.events.EVENTS`, in the types of the store."""

    absent_is_blank = True

    def __init__(self) -> None:
        self._exact: dict[str, Field] = {}
        for column in (*PARSED, *ENRICHED, *INTAKE):
            for name in (column.name, *column.sigma):
                self._exact.setdefault(name, of_column(column))
        self._folded = {name.casefold(): field for name, field in self._exact.items()}

    def field(self, name: str) -> Field | None:
        return self._exact.get(name) or self._folded.get(name.casefold())

    def line(self) -> Field:
        return self._exact["raw"]


LINE: Final = "line"


class ObjectFields:
    """The fields of an event given as an object: for `detect.match`, which makes two columns for each name asked for.

    `f0`, `f1`, ... are Array(String); `there_f0`, ... tell whether the object has the field, be it null (Sigma modifiers, `exists`).
    """

    absent_is_blank = False

    def __init__(self, names: Sequence[str]) -> None:
        self._columns = {name: f"f{position}" for position, name in enumerate(names)}

    def field(self, name: str) -> Field | None:
        column = self._columns.get(name)
        if column is None:
            return None
        return Field(f"`{column}`", FieldKind.VALUES, column, there=f"`there_{column}`")

    def line(self) -> Field:
        return Field(f"`{LINE}`", FieldKind.VALUES, LINE)
