"""CREATE TABLE made from `core.events`: what a new numbered migration is written from, and what the sum of them must equal.

Small parts are written compact (one data file), which doubles the rate of small inserts; fsync makes an insert survive a power cut,
not only a killed process. Figures: docs/decisions/0002-inserts.md.
"""

from __future__ import annotations

from typing import Final

from core.events import Table

ENGINE: Final = "MergeTree"
"""The one place that names the table engine; a migration writes it as `{engine}`."""

_SETTINGS: Final = (
    "non_replicated_deduplication_window = 10000",
    "min_bytes_for_wide_part = 536870912",
    "fsync_after_insert = 1",
    "fsync_part_directory = 1",
)


def create_table(table: Table, name: str = "") -> str:
    """The statement that makes `table`, called `name` if given, with `{engine}` still open."""
    columns = ",\n    ".join(column.ddl for column in table.columns)
    return (
        f"CREATE TABLE IF NOT EXISTS {name or table.name}\n(\n    {columns}\n)\n"
        f"ENGINE = {{engine}}\nPARTITION BY {table.partition_by}\nORDER BY {table.order_by}\n"
        f"{f'TTL {table.ttl}{chr(10)}' if table.ttl else ''}"
        f"SETTINGS {', '.join((*table.settings, *_SETTINGS))}"
    )
