"""Indicators for tests: as rows of an index, and as files of feeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from detect.indicators.index import SCHEMA, Index
from detect.indicators.values import Value

TLP_IDS = {
    "green": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "amber+strict": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
    "red": "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
}


def index(values: Sequence[Value], **columns: Any) -> Index:
    """An index of `values`; a column given as a list has a value for each of them."""
    return Index(pa.Table.from_pylist([_row(value, place, columns) for place, value in enumerate(values)], schema=SCHEMA))


def _row(value: Value, place: int, columns: Mapping[str, Any]) -> dict[str, Any]:
    base = {"feed": "f", "import_id": 1, "valid_from": None, "valid_until": None, "confidence": 50, "tlp": "amber"}
    own = {"type": value.type.value, "value": value.text, "address": value.address, "prefix": value.prefix}
    return base | own | {name: given[place] if isinstance(given, list) else given for name, given in columns.items()}


def bundle(*patterns: str, **more: Any) -> bytes:
    """A STIX bundle with an indicator for each pattern."""
    objects = [
        {
            "type": "indicator",
            "spec_version": "2.1",
            "id": f"indicator--00000000-0000-4000-8000-{place:012d}",
            "pattern": pattern,
            "pattern_type": "stix",
            "valid_from": "2026-01-01T00:00:00Z",
            **more,
        }
        for place, pattern in enumerate(patterns)
    ]
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": objects}).encode()


def misp_event(*attributes: tuple[str, str], tags: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """An event of MISP with attributes of (type, value)."""
    listed = [{"type": kind, "value": value, "to_ids": True, "uuid": f"u{place}"} for place, (kind, value) in enumerate(attributes)]
    return {"Event": {"info": "an event", "Attribute": listed, "Orgc": {"name": "CERT"}, **more, "Tag": [{"name": tag} for tag in tags]}}


def csv_feed(*values: str, expires: datetime | None = None, **columns: str) -> bytes:
    """A CSV with those values and the same in every other column."""
    headings = ["value", *columns, "expires"]
    rows = [[value, *columns.values(), expires.isoformat() if expires else ""] for value in values]
    return "\n".join(",".join(row) for row in [headings, *rows]).encode() + b"\n"
