"""Entries as CSV (RFC 4180): UTF-8 with a byte order mark, so that spreadsheets read Korean, one line for each entry.

A cell that a spreadsheet would take for a formula gets an apostrophe before it: what agencies write is text and never runs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, Final

from core.csv_cells import BYTE_ORDER_MARK, cell

COLUMNS: Final = (
    *("seq", "published_at", "report", "receipt", "agency", "incident", "version", "kind", "restates_seq", "restates_version"),
    *("restates_published_at", "occurred_at", "learned_at", "submitted_at", "received_at", "late_seconds", "late_reason", "type"),
    *("system", "summary", "impact", "cause", "actions", "personal_data", "version_sha256", "sha256"),
)


def render(items: Iterable[Mapping[str, Any]]) -> bytes:
    """The entries, as they are shown, as a CSV file with a header."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for item in items:
        before = item["restates"] or {}
        row = {**item, **{f"restates_{name}": before.get(name) for name in ("seq", "version", "published_at")}}
        writer.writerow([cell(row[column]) for column in COLUMNS])
    return BYTE_ORDER_MARK + file.getvalue().encode()
