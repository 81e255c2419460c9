"""Questions about rules: how often one fired, and what each agency's sources deliver, on which it depends which rules can fire.

Every question takes a scope: the agencies the asker may see, None for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from core.events import DETECTIONS, ENRICHED, EVENTS
from core.storage.contract import Limits, Store
from core.storage.coverage import COUNTED, is_set
from core.storage.event_queries import Scope, Where

_LIMITS: Final = Limits(seconds=60.0, rows=100_000)
_LOOKED_AT: Final = (*COUNTED, *ENRICHED)


@dataclass(frozen=True, slots=True)
class Fired:
    """Detections of a rule at an agency, the newest found at `last_at` (UTC)."""

    agency: str
    detections: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """Lines of one product in one log class that an agency sent; `filled` says how many had each column, without those that none had."""

    agency: str
    log_class: str
    vendor: str
    product: str
    lines: int
    filled: Mapping[str, int]


async def fired(store: Store, rule_id: str, since: datetime, until: datetime, scope: Scope) -> list[Fired]:
    """How often the rule fired at each agency, by when it was found; what hunts found in history does not count."""
    where = _found(since, until, scope)
    where.add(lambda p: f"rule_id = {p}", ("String", rule_id))
    found = await store.query(
        f"SELECT agency, count() AS n, max(detected_at) AS last FROM {DETECTIONS.name} WHERE {where.sql} GROUP BY agency ORDER BY agency",
        where.params,
        _LIMITS,
    )
    return [Fired(row["agency"], row["n"], row["last"].astimezone(UTC)) for row in found.to_pylist()]


async def deliveries(store: Store, since: datetime, until: datetime, scope: Scope) -> list[Delivery]:
    """What reached us between `since` and `until`, by agency, class, maker and product. QueryTooCostly when that is too many lines."""
    where = Where()
    where.between("received_at", since, until)
    where.scope(scope)
    where.real()
    counts = ", ".join(f"countIf({is_set(column)}) AS `n_{column.name}`" for column in _LOOKED_AT)
    key = "agency, log_class, vendor, product"
    found = await store.query(
        f"SELECT {key}, count() AS lines, {counts} FROM {EVENTS.name} WHERE {where.sql} GROUP BY {key} ORDER BY {key}",
        where.params,
        _LIMITS,
    )
    return [
        Delivery(
            agency=row["agency"],
            log_class=row["log_class"],
            vendor=row["vendor"],
            product=row["product"],
            lines=row["lines"],
            filled={column.name: row[f"n_{column.name}"] for column in _LOOKED_AT if row[f"n_{column.name}"]},
        )
        for row in found.to_pylist()
    ]


@dataclass(frozen=True, slots=True)
class Hits:
    """Detections of a rule in the last day and week before the asking, and when the newest of the time asked about was found (UTC)."""

    rule_id: str
    day: int
    week: int
    last_at: datetime


async def hits(store: Store, since: datetime, until: datetime, scope: Scope) -> list[Hits]:
    """How often each rule that fired between `since` and `until` did lately, by id; what hunts found in history does not count."""
    where = _found(since, until, scope)
    ago = {name: where.bind("DateTime64(3, 'UTC')", until - timedelta(days=days)) for name, days in (("day", 1), ("week", 7))}
    counts = ", ".join(f"countIf(detected_at >= {at}) AS {name}" for name, at in ago.items())
    found = await store.query(
        f"SELECT rule_id, {counts}, max(detected_at) AS last FROM {DETECTIONS.name} WHERE {where.sql} GROUP BY rule_id ORDER BY rule_id",
        where.params,
        _LIMITS,
    )
    return [Hits(row["rule_id"], row["day"], row["week"], row["last"].astimezone(UTC)) for row in found.to_pylist()]


async def hits_by_day(store: Store, rule_id: str, since: datetime, until: datetime, scope: Scope) -> dict[datetime, int]:
    """Detections of a rule by day of Seoul (the midnight it begins with, UTC), days without any left out."""
    where = _found(since, until, scope)
    where.add(lambda p: f"rule_id = {p}", ("String", rule_id))
    found = await store.query(
        f"SELECT toUnixTimestamp(toStartOfDay(detected_at, 'Asia/Seoul')) AS day, count() AS n FROM {DETECTIONS.name} "
        f"WHERE {where.sql} GROUP BY day ORDER BY day",
        where.params,
        _LIMITS,
    )
    return {datetime.fromtimestamp(row["day"], UTC): row["n"] for row in found.to_pylist()}


def _found(since: datetime, until: datetime, scope: Scope) -> Where:
    """What the stream found in a time within a scope."""
    where = Where()
    where.add(lambda p: f"origin != {p}", ("String", "hunt"))
    where.between("detected_at", since, until)
    where.scope(scope)
    where.real()
    return where
