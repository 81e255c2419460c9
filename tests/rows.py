"""Rows of our tables for tests: every column set to something, or as the test says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from core.events import EVENTS, Kind, Table

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MAPPED = bytes(10) + b"\xff\xff"


def ipv4(a: int, b: int, c: int, d: int) -> bytes:
    """The 16 bytes of an IPv4 address."""
    return MAPPED + bytes([a, b, c, d])


def rows(count: int = 1, table: Table = EVENTS, **columns: Any) -> pa.Table:
    """`count` rows of `table`: unset where a column may be, else of one firewall event at NOON.

    A column given as a list is taken as it is, anything else is repeated. Without `raw_line` the lines count from 0.
    """
    given: dict[str, Any] = {
        "raw_epoch": "k1",
        "raw_line": list(range(count)),
        "received_at": NOON,
        "event_time": NOON,
        "detected_at": NOON,
        "agency": "gangnam",
        "source": "fw1",
        "transport": "tcp",
        "raw": "a line",
        "parser": "fortigate",
    } | columns
    arrays: list[pa.Array] = []
    for column in table.columns:
        value = given.get(column.name, None if column.nullable else "" if column.kind.is_text else NOON if column.kind is Kind.TIME else 0)
        values: Sequence[Any] = value if isinstance(value, list) else [value] * count
        arrays.append(pa.array(values, column.arrow.type))
    return pa.table(arrays, schema=table.schema)
