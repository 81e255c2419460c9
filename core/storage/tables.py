"""The tables a store may be asked to fill: those made of events (`core.events`), and here the others; and rows in their shape."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from core.errors import StoreError
from core.events import TABLES, Column, Kind, Table

INDICATORS: Final = Table(
    "indicators",
    (
        Column("feed", Kind.WORD, "Feed it came with"),
        Column("type", Kind.WORD, "address, network, domain, url, hash; empty: the feed's own mark"),
        Column("value", Kind.TEXT, "What is bad, normalised"),
        Column("address", Kind.IP, "First address of an address or network", nullable=True),
        Column("prefix", Kind.UINT8, "Length of its prefix, of 128; 0 where there is no address"),
        Column("import_id", Kind.UINT64, "Import that last brought it"),
        Column("first_import", Kind.UINT64, "Import that first brought it, since it was last not in force"),
        Column("valid_from", Kind.TIME, "In force from then on", nullable=True),
        Column("valid_until", Kind.TIME, "In force until then; not set: without end", nullable=True),
        Column("confidence", Kind.UINT8, "0 to 100"),
        Column("tlp", Kind.WORD, "Traffic Light Protocol 2.0: clear, green, amber, amber+strict, red"),
        Column("source", Kind.TEXT, "Who says so"),
        Column("labels", Kind.TEXT, "What they call it, joined by commas"),
        Column("reference", Kind.TEXT, "Its id with them"),
        Column("description", Kind.TEXT, "What they say of it"),
    ),
    order_by="(feed, type, value)",
    partition_by="feed",
)
"""Indicators of known-bad things: `core.storage.indicators`."""

BASELINE_MEMORY: Final = Table(
    "baseline_memory",
    (
        Column("detector", Kind.WORD, "Which detector"),
        Column("tick", Kind.UINT64, "The tick that wrote the row: minutes since the epoch of its window's end"),
        Column("agency", Kind.WORD, "Agency of the subject"),
        Column("subject", Kind.TEXT, "What was seen or told; '' says that the tick is done"),
        Column("at", Kind.TIME, "When it was seen, by the time of receipt"),
        Column("amount", Kind.UINT64, "How much of it, where that is counted"),
    ),
    order_by="(detector, agency, subject, tick)",
    partition_by="detector",
)
"""What the detectors of `detect.baselines` have done, seen and told."""

_TABLES: Final = {table.name: table for table in (*TABLES, INDICATORS, BASELINE_MEMORY)}


def table_named(name: str) -> Table:
    """The table called `name`; StoreError when there is none."""
    try:
        return _TABLES[name]
    except KeyError:
        raise StoreError(f"there is no table {name!r}; the tables are {', '.join(_TABLES)}") from None


def in_shape(table: Table, rows: pa.Table) -> pa.Table:
    """`rows` with exactly the columns of `table`, in order and of its types.

    While a cluster is being upgraded, rows of the version before or after come too: a text or nullable column they lack is not set, and
    a column the table does not have is left out (the line itself is always kept in `raw`). StoreError when they do not fit otherwise.
    """
    if rows.schema == table.schema:
        return rows
    try:
        columns = [rows[column.name] if column.name in rows.column_names else _unset(column, rows.num_rows) for column in table.columns]
        return pa.table(columns, names=table.names).cast(table.schema)
    except (KeyError, ValueError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise StoreError(f"rows do not fit the table {table.name}: {error}") from error


def filled(table: Table, rows: pa.Table) -> list[Column]:
    """The columns of `table` that `rows`, which are in its shape, set at all: the others are what the store gives a column left out.

    Of a firewall's lines that is half of them, and those not written cost nothing.
    """
    return [column for column in table.columns if not _is_unset(column, rows[column.name])]


def _is_unset(column: Column, values: pa.ChunkedArray) -> bool:
    if column.nullable:
        return bool(values.null_count == len(values))
    return column.kind.is_text and not pc.max(pc.binary_length(values)).as_py()


def _unset(column: Column, length: int) -> pa.Array:
    if column.kind.is_text:
        return pa.repeat(pa.scalar("", column.arrow.type), length)
    if column.nullable:
        return pa.nulls(length, column.arrow.type)
    raise KeyError(f"column {column.name} is missing")
