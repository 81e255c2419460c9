"""Where the columns of the rules' expressions come from: the table of events, or another that has the same meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from core.events import EVENTS, Column, Kind
from detect.fields import EventFields, Fields


class Source(Protocol):
    """Tables of events as the engine reads them."""

    fields: Fields

    def given(self, events: pa.Table, columns: Sequence[str]) -> pa.Table:
        """What of `events` gives `columns` of `fields`, always in the same schema."""
        ...

    def columns(self, given: Sequence[str]) -> list[str]:
        """What to select of a table that has the columns `given`."""
        ...

    def lowered(self, column: str) -> str:
        """The text column `column` in lower case, as far as it is ASCII at least."""
        ...


class EventColumns:
    """A table of columns of `EVENTS`; addresses take the type they have in the store."""

    def __init__(self) -> None:
        self.fields: Fields = EventFields()

    def given(self, events: pa.Table, columns: Sequence[str]) -> pa.Table:
        return events.select(columns)

    def columns(self, given: Sequence[str]) -> list[str]:
        return [as_stored(EVENTS.column(name)) if name in EVENTS.names else name for name in given]

    def lowered(self, column: str) -> str:
        return f"lower(`{column}`)"


def as_stored(column: Column) -> str:
    """A column of a table given to the engine, in the type it has in the store."""
    name = f"`{column.name}`"
    return f"CAST({name}, '{column.clickhouse}') AS {name}" if column.kind is Kind.IP else name


def selected(source: Source, select: Sequence[str], given: Sequence[str]) -> str:
    """The statement of `select` over `Python(rows)`, whose columns are `given`."""
    return f"SELECT {', '.join(select)} FROM (SELECT {', '.join(source.columns(given))} FROM Python(rows))"
