"""The tables a store may be asked to fill, and rows in their shape."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from core.errors import StoreError
from core.events import TABLES, Table

_TABLES: Final = {table.name: table for table in TABLES}


def table_named(name: str) -> Table:
    """The table called `name`; StoreError when there is none."""
    try:
        return _TABLES[name]
    except KeyError:
        raise StoreError(f"there is no table {name!r}; the tables are {', '.join(_TABLES)}") from None


def in_shape(table: Table, rows: pa.Table) -> pa.Table:
    """`rows` with exactly the columns of `table`, in order and of its types; StoreError when they do not fit."""
    if rows.schema == table.schema:
        return rows
    try:
        return rows.select(table.names).cast(table.schema)
    except (KeyError, ValueError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise StoreError(f"rows do not fit the table {table.name}: {error}") from error
