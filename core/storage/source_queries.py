"""How each source's lines came lately: how many, how many were read and flagged, by the time of receipt and within a scope."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.events import EVENTS, QUARANTINE, IntakeFlag
from core.exercise import SOURCE_PREFIX
from core.storage.contract import Limits, Store
from core.storage.event_queries import Scope, Where

RATE: Final = timedelta(minutes=5)
_LIMITS: Final = Limits(seconds=60.0, rows=100_000)


@dataclass(frozen=True, slots=True)
class Lately:
    """Lines of a source in the time asked about; `recent` are those of its last five minutes, `skewed` those whose clock was off."""

    agency: str
    source: str
    lines: int
    recent: int
    parsed: int
    skewed: int
    parser: str


async def lately(store: Store, since: datetime, until: datetime, scope: Scope) -> dict[tuple[str, str], Lately]:
    """Every source that sent lines between `since` and `until`, by agency and name. QueryTooCostly when that is too many lines."""
    where = Where()
    where.between("received_at", since, until)
    where.scope(scope)
    where.add(lambda p: f"NOT startsWith(source, {p})", ("String", SOURCE_PREFIX))
    recent = where.bind("DateTime64(3, 'UTC')", until - RATE)
    skewed = f"countIf(bitAnd(intake_flags, {IntakeFlag.CLOCK_SKEW.value}) != 0)"
    counts = f"count() AS n, countIf(received_at >= {recent}) AS late, {skewed} AS off"
    found = await store.query(
        "SELECT agency, source, sum(n) AS lines, sum(late) AS recent, sum(read) AS parsed, sum(off) AS skewed, max(by) AS parser FROM ("
        f"SELECT agency, source, {counts}, count() AS read, topK(1)(parser)[1] AS by "
        f"FROM {EVENTS.name} WHERE {where.sql} GROUP BY agency, source "
        f"UNION ALL SELECT agency, source, {counts}, 0 AS read, '' AS by "
        f"FROM {QUARANTINE.name} WHERE {where.sql} GROUP BY agency, source"
        ") GROUP BY agency, source ORDER BY agency, source",
        where.params,
        _LIMITS,
    )
    return {(row["agency"], row["source"]): Lately(**row) for row in found.to_pylist()}
