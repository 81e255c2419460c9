"""Rows as people and machines read them: one plain dict per row, ready for JSON.

Addresses are text (an IPv4-mapped one as IPv4), times ISO 8601 in UTC with `Z`, `intake_flags` a list of words. The four columns of the
line's position become `event_id`. What is not set (NULL, '', no flags) is left out.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from core.events import POSITION, IntakeFlag, event_id

_MAPPED: Final = bytes(10) + b"\xff\xff"
_POSITION: Final = tuple(column.name for column in POSITION)
_FLAGS: Final = tuple((flag.value, str(flag.name).lower()) for flag in IntakeFlag if flag.value)


def to_jsonable(table: pa.Table) -> list[dict[str, Any]]:
    """One dict per row of `table`, keys in the order of its columns, `event_id` first where the position is known."""
    rows: list[dict[str, Any]] = [{} for _ in range(table.num_rows)]
    with_position = set(_POSITION) <= set(table.column_names)
    if with_position:
        for row, *position in zip(rows, *(table[name].to_pylist() for name in _POSITION), strict=True):
            row["event_id"] = event_id(*position)
    for name in table.column_names:
        if with_position and name in _POSITION:
            continue
        for row, value in zip(rows, readable(name, table[name]), strict=True):
            if value is not None and value != "" and value != []:
                row[name] = value
    return rows


def address_text(packed: bytes) -> str:
    """The text of a 16-byte address (RFC 5952; IPv4-mapped as IPv4)."""
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


def readable(name: str, column: pa.ChunkedArray) -> Sequence[Any]:
    """The values of the column `name` as people read them."""
    if name == "intake_flags":
        return _mapped(column, _flag_words)
    if pa.types.is_fixed_size_binary(column.type):
        return _mapped(column, address_text)
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ").to_pylist()  # type: ignore[no-any-return]
    return column.to_pylist()  # type: ignore[no-any-return]


def _mapped(column: pa.ChunkedArray, function: Callable[[Any], Any]) -> list[Any]:
    """`function` of each distinct value once."""
    encoded = column.combine_chunks().dictionary_encode()
    words = [function(value) for value in encoded.dictionary.to_pylist()]
    return [None if index is None else words[index] for index in encoded.indices.to_pylist()]


def _flag_words(value: int) -> list[str]:
    return [word for bit, word in _FLAGS if value & bit]
