"""The page of our tables, made from `core.events`: `python -m core.storage.docs > docs/events.md`."""

from __future__ import annotations

import sys
from typing import Final

from core.events import TABLES, Column, IntakeFlag, LogClass, Table

_ABOUT: Final = {
    "events": "A line that a parser read.",
    "quarantine": "A line that no parser could read, whole, with the reason.",
    "detections": "A rule that matched an event. The event's own columns are copied, so it stays readable by itself.",
    "matches": "A match that counts for a correlation, kept for as long as it may complete one.",
    "firings": "A correlation that fired for a key in a span of time. The position is that of its detection.",
}


def page() -> str:
    """The whole page, Markdown."""
    return "\n\n".join([_HEAD.strip(), *(_section(table) for table in TABLES), _words()]) + "\n"


def _section(table: Table) -> str:
    lines = [
        f"## {table.name}",
        "",
        f"{_ABOUT[table.name]} Order `{table.order_by}`, one partition per `{table.partition_by}`.",
        "",
        "| column | type | meaning | set by | OCSF | in Sigma rules also |",
        "|---|---|---|---|---|---|",
        *(_row(column) for column in table.columns),
    ]
    return "\n".join(lines)


def _row(column: Column) -> str:
    ocsf = f"`{column.ocsf}`" if column.ocsf else ""
    sigma = ", ".join(f"`{name}`" for name in column.sigma)
    return f"| `{column.name}` | {column.clickhouse} | {column.meaning} | {column.set_by} | {ocsf} | {sigma} |"


def _words() -> str:
    flags = ", ".join(f"{flag.value} `{str(flag.name).lower()}`" for flag in IntakeFlag if flag.value)
    classes = ", ".join(f"`{word}`" for word in LogClass)
    return f"## Words\n\nBits of `intake_flags`: {flags}.\n\nWords of `log_class`: {classes}."


_HEAD: Final = """
# The tables of the columnar store

Made from `core/events.py` by `python -m core.storage.docs > docs/events.md`; a test fails when this page is out of date.

A text is never NULL: '' means not set. A number, address or time is NULL when it is not set; 0 and `::` are values. Addresses are
IPv6, an IPv4 address as IPv4-mapped (RFC 4291, 2.5.5.2). Times are UTC with milliseconds. The first four columns of `events` name a
line for ever; joined by `-` they are its `event_id`. OCSF paths are of OCSF 1.x. A Sigma rule may use a column's own name or any of
those in its last cell; where an intake column's name is in a parser column's last cell (`transport`), the parser's column is meant.
"""


def main() -> None:
    sys.stdout.write(page())


if __name__ == "__main__":
    main()
