"""What the parsers made of the lines of each source lately: how many by which parser, which columns they filled, what was refused and why.

It is asked of the store by the time of receipt and within a scope (the agencies the asker may see, None for all).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from core.events import EVENTS, PARSED, QUARANTINE, Column, IntakeFlag
from core.storage.contract import Limits, Store
from core.storage.event_queries import Scope, Where

_ALWAYS: Final = frozenset(("parser", "parser_version", "log_class", "event_time", "vendor", "product"))
COUNTED: Final = tuple(column for column in PARSED if column.name not in _ALWAYS)
"""The columns whose filling is counted: all that a parser may leave empty."""

_MASKED: Final = f"countIf(bitAnd(intake_flags, {IntakeFlag.MASKED.value}) != 0) AS masked"
_LIMITS: Final = Limits(seconds=60.0, rows=100_000)


@dataclass(frozen=True, slots=True)
class ParserCoverage:
    """Lines of a source that one parser read. `filled` says how many of them had each column; columns that none had are left out."""

    parser: str
    lines: int
    filled: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SourceCoverage:
    """A source: what parsers read of it, most lines first, the lines in quarantine by reason, and how many of all were masked."""

    agency: str
    source: str
    parsers: tuple[ParserCoverage, ...]
    refused: Mapping[str, int]
    masked: int = 0

    @property
    def lines(self) -> int:
        return sum(one.lines for one in self.parsers) + sum(self.refused.values())


async def coverage(store: Store, since: datetime, until: datetime, scope: Scope) -> list[SourceCoverage]:
    """Every source that sent lines between `since` and `until`, by agency and source. QueryTooCostly when that is too many lines."""
    where = Where()
    where.between("received_at", since, until)
    where.scope(scope)
    where.real()
    counts = ", ".join(f"countIf({is_set(column)}) AS `n_{column.name}`" for column in COUNTED)
    read = await store.query(
        f"SELECT agency, source, parser, count() AS lines, {_MASKED}, {counts} FROM {EVENTS.name} WHERE {where.sql} "
        "GROUP BY agency, source, parser ORDER BY agency, source, lines DESC, parser",
        where.params,
        _LIMITS,
    )
    refused = await store.query(
        f"SELECT agency, source, reason, count() AS lines, {_MASKED} FROM {QUARANTINE.name} WHERE {where.sql} "
        "GROUP BY agency, source, reason ORDER BY reason",
        where.params,
        _LIMITS,
    )
    return _by_source(read.to_pylist(), refused.to_pylist())


def is_set(column: Column) -> str:
    """SQL for: the column holds something."""
    return f"`{column.name}` != ''" if column.kind.is_text else f"`{column.name}` IS NOT NULL"


def _by_source(read: list[dict[str, Any]], refused: list[dict[str, Any]]) -> list[SourceCoverage]:
    sources = sorted({(row["agency"], row["source"]) for row in (*read, *refused)})
    parsers: dict[tuple[str, str], list[ParserCoverage]] = {source: [] for source in sources}
    reasons: dict[tuple[str, str], dict[str, int]] = {source: {} for source in sources}
    masked = Counter[tuple[str, str]]()
    for row in (*read, *refused):
        masked[row["agency"], row["source"]] += row["masked"]
    for row in read:
        filled = {column.name: row[f"n_{column.name}"] for column in COUNTED if row[f"n_{column.name}"]}
        parsers[row["agency"], row["source"]].append(ParserCoverage(row["parser"], row["lines"], filled))
    for row in refused:
        reasons[row["agency"], row["source"]][row["reason"]] = row["lines"]
    return [SourceCoverage(*source, tuple(parsers[source]), reasons[source], masked[source]) for source in sources]
