"""Events for tests, as rows of `core.events.EVENTS`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from core.events import EVENTS, Kind


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Events in the columns of the store; what is not given is absent."""
    columns = []
    for column in EVENTS.columns:
        blank: Any = None if column.nullable else "" if column.kind.is_text else bytes(16) if column.kind is Kind.IP else 0
        values = [row.get(column.name, blank) for row in rows]
        if column.kind is Kind.IP:
            values = [packed(value) if isinstance(value, str) else value for value in values]
        columns.append(pa.array(values, column.arrow.type))
    return pa.table(columns, schema=EVENTS.schema)


def packed(address: str) -> bytes:
    parsed = ipaddress.ip_address(address)
    return parsed.packed if parsed.version == 6 else bytes(10) + b"\xff\xff" + parsed.packed
