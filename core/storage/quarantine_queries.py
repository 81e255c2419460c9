"""The lines no event came of: what each was, and why. Asked by the time of receipt, within a scope (None: every agency)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from core.events import QUARANTINE
from core.storage import line_paging
from core.storage.contract import Limits, Store
from core.storage.event_queries import Scope, Where
from core.storage.rows import to_jsonable

MOST_PER_PAGE: Final = 1000
_TIME: Final = "received_at"
_LIMITS: Final = Limits(seconds=30.0, rows=100_000)
_COLUMNS: Final = ", ".join(f"`{name}`" for name in QUARANTINE.names)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: received from `since` on and before `until` (UTC), of these agencies; '' is any source, any reason."""

    since: datetime
    until: datetime
    agencies: Scope
    source: str = ""
    reason: str = ""


async def page(store: Store, wanted: Wanted, limit: int, cursor: str = "") -> tuple[list[dict[str, Any]], str]:
    """At most `limit` rows as `core.storage.rows` makes them, newest first from `cursor` on, and the next cursor ('': no more)."""
    where = Where()
    where.scope(wanted.agencies)
    where.between(_TIME, wanted.since, wanted.until)
    for column, value in (("source", wanted.source), ("reason", wanted.reason)):
        if value:
            where.add(lambda p, name=column: f"{name} = {p}", ("String", value))
    if cursor:
        line_paging.go_on(where, _TIME, cursor)
    sql = f"SELECT {_COLUMNS} FROM {QUARANTINE.name} WHERE {where.sql} ORDER BY {line_paging.newest_first(_TIME)} LIMIT {limit + 1}"
    found = await store.query(sql, where.params, _LIMITS)
    shown = found.slice(0, limit)
    return to_jsonable(shown), line_paging.cursor_after(shown, _TIME) if found.num_rows > limit else ""
