"""Cells of CSV files that spreadsheets open: what others wrote is text in them and never runs as a formula."""

from __future__ import annotations

from typing import Any, Final

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""Before the first line, so that spreadsheets read Korean."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> Any:
    """`value` as a cell: nothing for None, an apostrophe before what a spreadsheet would take for a formula."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
