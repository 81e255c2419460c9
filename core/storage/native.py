"""Blocks of ClickHouse's native protocol, to and from Arrow, without a Python object per value.

A block is columns; a column is its values as they lie in memory, so fixed-width columns are copied whole. Texts are each preceded by
their length (LEB128); `LowCardinality` is a dictionary and indices; `Nullable` is a byte per row, then the values.
Format: ClickHouse `src/Formats/NativeWriter.cpp`, `src/DataTypes/Serializations/`. What is not read here (tuples, maps, sparse columns)
is read by the driver's own column classes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from clickhouse_driver import defines
from clickhouse_driver.block import BlockInfo
from clickhouse_driver.columns.service import read_column
from clickhouse_driver.reader import read_binary_str, read_binary_uint8
from clickhouse_driver.varint import read_varint, write_varint
from clickhouse_driver.writer import write_binary_str

from core.events import Column, Kind

_FIXED: Final[dict[str, pa.DataType]] = {
    "UInt8": pa.uint8(),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
    "Int8": pa.int8(),
    "Int16": pa.int16(),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    "IPv6": pa.binary(16),
}
_DATETIME64: Final = re.compile(r"DateTime64\(([369]), '([^']+)'\)")
_UNITS: Final = {"3": "ms", "6": "us", "9": "ns"}
_LOW_CARDINALITY_VERSION: Final = struct.pack("<q", 1)
_LEB128_STEPS: Final = np.array([1 << 7, 1 << 14, 1 << 21, 1 << 28])
_HAS_KEYS: Final = (1 << 9) | (1 << 10)  # the dictionary is in the block, and replaces an earlier one
_INDEX_TYPES: Final = (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())


def write_block(stream: Any, columns: Sequence[Column], rows: pa.Table, revision: int) -> None:
    """Write `rows`, which have the columns `columns` in this order, as one block on a block stream of the driver."""
    out = stream.fout
    if revision >= defines.DBMS_MIN_REVISION_WITH_BLOCK_INFO:
        BlockInfo().write(out)
    write_varint(len(columns), out)
    write_varint(rows.num_rows, out)
    for column in columns:
        write_binary_str(column.name, out)
        write_binary_str(column.clickhouse, out)
        if revision >= defines.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION:
            out.write(b"\0")
        values = rows[column.name].combine_chunks()
        for piece in _encoded(column, values):
            out.write(piece)
    stream.finalize()


def _encoded(column: Column, values: pa.Array) -> list[bytes]:
    if column.kind is Kind.TEXT:
        return [_texts(values)]
    if column.kind is Kind.WORD:
        return _words(values.dictionary_encode())
    if not column.nullable:
        return [_fixed(values)]
    missing = values.is_null().cast(pa.uint8())
    zero = pa.scalar(bytes(16) if column.kind is Kind.IP else 0, values.type)
    return [_fixed(missing), _fixed(pc.fill_null(values, zero))]


def _fixed(values: pa.Array) -> bytes:
    width = values.type.bit_width // 8
    data = values.buffers()[1]
    return data.slice(values.offset * width, len(values) * width).to_pybytes()  # type: ignore[no-any-return]


def _words(encoded: pa.DictionaryArray) -> list[bytes]:
    size = len(encoded.dictionary)
    kind = 0 if size <= 1 << 8 else 1 if size <= 1 << 16 else 2
    return [
        _LOW_CARDINALITY_VERSION,
        struct.pack("<qq", _HAS_KEYS | kind, size),
        _texts(encoded.dictionary),
        struct.pack("<q", len(encoded)),
        _fixed(encoded.indices.cast(_INDEX_TYPES[kind])),
    ]


def _texts(values: pa.Array) -> bytes:
    """Each text after its length: heads and bytes are put in their places column-wise."""
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    lengths = np.diff(offsets)
    if offsets[-1] == offsets[0]:
        return bytes(len(values))
    widths = np.searchsorted(_LEB128_STEPS, lengths, side="right") + 1
    ends = np.cumsum(lengths + widths)
    heads = ends - lengths - widths
    out = np.empty(ends[-1], np.uint8)
    is_text = np.ones(ends[-1], np.bool_)
    for place in range(int(widths.max())):
        there = widths > place
        goes_on = widths[there] > place + 1
        at = heads[there] + place
        out[at] = (lengths[there] >> 7 * place & 0x7F) | (goes_on.astype(np.int64) << 7)
        is_text[at] = False
    out[is_text] = np.frombuffer(values.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    return out.tobytes()


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was read. `columns` is empty in a header block."""

    columns_with_types: list[tuple[str, str]]
    columns: list[pa.Array]
    num_rows: int

    def to_arrow(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(self.columns, names=[name for name, _ in self.columns_with_types])

    def empty(self) -> pa.Table:
        """No rows, with the columns' types as far as they are known without rows."""
        types = [(name, arrow_type(spec) or pa.null()) for name, spec in self.columns_with_types]
        return pa.schema(types).empty_table()


class BlockReader:
    """Stands in a connection's place of the driver's block stream: reads Arrow columns."""

    def __init__(self, stream: Any) -> None:
        self._in = stream.fin
        self._context = stream.context

    def read(self, use_numpy: object = None) -> Block:  # noqa: ARG002 - the driver's signature
        revision = self._context.server_info.used_revision
        if revision >= defines.DBMS_MIN_REVISION_WITH_BLOCK_INFO:
            BlockInfo().read(self._in)
        n_columns, n_rows = read_varint(self._in), read_varint(self._in)
        names: list[tuple[str, str]] = []
        columns: list[pa.Array] = []
        for _ in range(n_columns):
            names.append((read_binary_str(self._in), read_binary_str(self._in)))
            special = revision >= defines.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION and bool(read_binary_uint8(self._in))
            if n_rows:
                columns.append(self._column(names[-1][1], n_rows, special=special))
        return Block(names, columns, n_rows)

    def _column(self, spec: str, n: int, *, special: bool) -> pa.Array:
        kind = arrow_type(spec)
        if special or kind is None or pa.types.is_list(kind):
            values = read_column(self._context, spec, n, self._in, use_numpy=False, has_custom_serialization=special)
            return pa.array([_plain(value) for value in values], kind)
        if spec.startswith("LowCardinality("):
            return self._words(n)
        validity = None
        if spec.startswith("Nullable("):
            present = np.frombuffer(self._in.read(n), np.uint8) == 0
            validity = pa.py_buffer(np.packbits(present, bitorder="little"))
        if pa.types.is_string(kind):
            return self._texts(n, validity)
        return pa.Array.from_buffers(kind, n, [validity, pa.py_buffer(self._in.read(n * kind.bit_width // 8))])

    def _texts(self, n: int, validity: pa.Buffer | None = None) -> pa.Array:
        offsets, data = self._in.read_strings_arrow(n)
        places = np.frombuffer(offsets, np.int64).astype(np.int32)
        return pa.Array.from_buffers(pa.string(), n, [validity, pa.py_buffer(places), pa.py_buffer(bytes(data))])

    def _words(self, n: int) -> pa.Array:
        _version, layout, size = struct.unpack("<QQQ", self._in.read(24))
        dictionary = self._texts(size)
        index_type = _INDEX_TYPES[layout & 0xF]
        self._in.read(8)  # the number of indices, which is n
        indices = pa.Array.from_buffers(index_type, n, [None, pa.py_buffer(self._in.read(n * index_type.bit_width // 8))])
        return dictionary.take(indices)


def arrow_type(spec: str) -> pa.DataType | None:
    """The Arrow type of a ClickHouse type, as the embedded engine gives it; None when it is left to the values."""
    if spec in ("String", "LowCardinality(String)"):
        return pa.string()
    if time := _DATETIME64.fullmatch(spec):
        return pa.timestamp(_UNITS[time[1]], time[2])
    if spec.startswith("Nullable("):
        inner = arrow_type(spec[9:-1])
        return None if inner is None or spec.startswith("Nullable(LowCardinality") else inner
    if spec.startswith("Array("):
        item = arrow_type(spec[6:-1])
        return None if item is None else pa.list_(item)
    return _FIXED.get(spec)


def _plain(value: Any) -> Any:
    """What the driver makes of a value, as Arrow takes it."""
    if isinstance(value, IPv6Address):
        return value.packed
    if isinstance(value, IPv4Address):
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, tuple):
        return {str(place): _plain(item) for place, item in enumerate(value, 1)}
    return value
