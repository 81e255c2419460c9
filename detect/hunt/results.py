"""The detections a hunt made, in pages and by the hour, within the asker's scope."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from core.clock import millis
from core.errors import Invalid
from core.events import DETECTIONS
from core.storage.contract import Limits, Store
from core.storage.event_queries import Scope, Where
from core.storage.rows import to_jsonable
from detect.hunt.models import Hunt
from detect.hunt.runner import maker_of

MOST_PER_PAGE: Final = 500
_COLUMNS: Final = ", ".join(f"`{name}`" for name in DETECTIONS.names)
_LIMITS: Final = Limits(seconds=30.0, rows=MOST_PER_PAGE + 1)
_LIMITS_OF_HOURS: Final = Limits(seconds=30.0, rows=100_000)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as `core.storage.rows` makes them, in order of event time. `after` is where the next page begins; None on the last one."""

    rows: list[dict[str, Any]]
    after: tuple[int, int, int] | None


async def by_hour(store: Store, hunt: Hunt, scope: Scope) -> dict[datetime, int]:
    """How many of the detections `hunt` made happened in each hour (its start, UTC); hours without any are left out."""
    where = _of(hunt, scope)
    found = await store.query(
        f"SELECT toUnixTimestamp(toStartOfHour(event_time)) AS at, count() AS n FROM detections WHERE {where.sql} GROUP BY at ORDER BY at",
        where.params,
        _LIMITS_OF_HOURS,
    )
    return {datetime.fromtimestamp(row["at"], UTC): row["n"] for row in found.to_pylist()}


def _of(hunt: Hunt, scope: Scope) -> Where:
    where = Where()
    where.scope(scope)
    where.between("event_time", hunt.since, hunt.until)
    where.add(lambda p: f"raw_epoch = {p}", ("String", maker_of(hunt).epoch))
    return where


async def detections(
    store: Store, hunt: Hunt, scope: Scope, *, rule_id: str = "", after: tuple[int, int, int] | None = None, limit: int = 100
) -> Page:
    """A page of what `hunt` found. `after`: event time (ms), raw offset and line of the last row already seen."""
    if not 1 <= limit <= MOST_PER_PAGE:
        raise Invalid(f"limit must be between 1 and {MOST_PER_PAGE}")
    where = _of(hunt, scope)
    if rule_id:
        where.add(lambda p: f"rule_id = {p}", ("String", rule_id))
    if after is not None:
        where.add(
            lambda at, offset, line: f"(toUnixTimestamp64Milli(event_time), raw_offset, raw_line) > ({at}, {offset}, {line})",
            *zip(("Int64", "UInt64", "UInt32"), after, strict=True),
        )
    found = await store.query(
        f"SELECT {_COLUMNS} FROM detections WHERE {where.sql} ORDER BY event_time, raw_offset, raw_line LIMIT {limit + 1}",
        where.params,
        _LIMITS,
    )
    page = found.slice(0, limit)
    rows = to_jsonable(page)
    for row in rows:
        row["event_id"] = json.loads(row.pop("details"))["events"][-1]
    if found.num_rows <= limit:
        return Page(rows, None)
    last = page.slice(limit - 1).to_pylist()[0]
    return Page(rows, (millis(last["event_time"]), last["raw_offset"], last["raw_line"]))
