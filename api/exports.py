"""Files made while they are sent: rows of the store as NDJSON, CSV (RFC 4180) or Parquet, in constant memory.

A row is written as `core.storage.rows` has it: addresses as text, times ISO 8601 in UTC (Parquet: timestamps). Each batch is written
outside the event loop. When the store fails on the way the connection is cut, so that half a file never looks like a whole one.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from anyio.to_thread import run_sync

from core.csv_cells import BYTE_ORDER_MARK, cell
from core.events import POSITION, Column, Kind
from core.storage.rows import readable, to_jsonable


class Writer(Protocol):
    """Makes a file piece by piece: `begin`, `rows` for each batch, `end`; each gives the bytes to be sent."""

    def begin(self) -> bytes: ...

    def rows(self, table: pa.Table) -> bytes: ...

    def end(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file, and what makes it of rows that have these columns and the position of their line."""

    media_type: str
    writer: Callable[[Sequence[Column]], Writer]


async def pieces(batches: AsyncIterator[pa.RecordBatch], writer: Writer) -> AsyncIterator[bytes]:
    """The file of these batches, as it grows."""
    yield writer.begin()
    async for batch in batches:
        yield await run_sync(writer.rows, pa.Table.from_batches([batch]))
    yield await run_sync(writer.end)


class _Lines:
    """One JSON object a line; what is not set is left out."""

    def __init__(self, _columns: Sequence[Column]) -> None:
        pass

    def begin(self) -> bytes:
        return b""

    def rows(self, table: pa.Table) -> bytes:
        return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in to_jsonable(table)).encode()

    def end(self) -> bytes:
        return b""


class _Csv:
    def __init__(self, columns: Sequence[Column]) -> None:
        self._names = ["event_id", *(column.name for column in columns)]

    def begin(self) -> bytes:
        return BYTE_ORDER_MARK + _csv_lines([self._names])

    def rows(self, table: pa.Table) -> bytes:
        return _csv_lines([[_csv_cell(row.get(name)) for name in self._names] for row in to_jsonable(table)])

    def end(self) -> bytes:
        return b""


def _csv_lines(lines: Sequence[Sequence[Any]]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file).writerows(lines)
    return file.getvalue().encode()


def _csv_cell(value: Any) -> Any:
    return cell(" ".join(value) if isinstance(value, list) else value)


class _Parquet:
    """One row group a batch."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._schema = pa.schema([pa.field("event_id", pa.string()), *(pa.field(column.name, _parquet_type(column)) for column in columns)])
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(self._sink, self._schema, compression="zstd")

    def begin(self) -> bytes:
        return self._sink.take()

    def rows(self, table: pa.Table) -> bytes:
        ids = pc.binary_join_element_wise(*(table[column.name].cast(pa.string()) for column in POSITION), "-")
        shown = [ids, *(_parquet_values(column, table[column.name]) for column in self._columns)]
        self._writer.write_table(pa.table(shown, names=self._schema.names).cast(self._schema))
        return self._sink.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.take()


def _parquet_type(column: Column) -> pa.DataType:
    if column.name == "intake_flags":
        return pa.list_(pa.string())
    return pa.string() if column.kind is Kind.IP else column.arrow.type


def _parquet_values(column: Column, values: pa.ChunkedArray) -> Any:
    kind = _parquet_type(column)
    return values if kind == column.arrow.type else pa.array(readable(column.name, values), kind)


class _Sink:
    """What Parquet is written to: it counts bytes for ever, so that places in the file stay true when what is held is taken out."""

    closed = False

    def __init__(self) -> None:
        self._held = bytearray()
        self._written = 0

    def write(self, data: bytes) -> int:
        """Hold `data`."""
        self._held += data
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        """How many bytes were ever written."""
        return self._written

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> bytes:
        """What is held, which is then let go."""
        held, self._held = bytes(self._held), bytearray()
        return held


FORMATS: Final = {
    "ndjson": Format("application/x-ndjson", _Lines),
    "csv": Format("text/csv; charset=utf-8", _Csv),
    "parquet": Format("application/vnd.apache.parquet", _Parquet),
}
