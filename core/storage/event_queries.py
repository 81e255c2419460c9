"""Questions about events: one event, counts, and when each source was last heard; searching them is `core.storage.event_search`'s.

Every question takes a scope: the agencies the asker may see, None for all. Outside it nothing is found, counted or told.
Values go beside the SQL; column names come from `core.events` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from core.errors import NotFound
from core.events import DETECTIONS, EVENTS, HIGHEST, POSITION, QUARANTINE, Table, parse_event_id
from core.exercise import SOURCE_PREFIX
from core.storage.contract import Limits, Store
from core.storage.rows import to_jsonable

Scope = Collection[str] | None

_LIMITS: Final = Limits(seconds=30.0, rows=100_000)
_COLUMNS: Final = ", ".join(f"`{name}`" for name in EVENTS.names)
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Minute:
    """What one minute brought; `at` is its start, UTC."""

    at: datetime
    events: int = 0
    quarantined: int = 0
    detections: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals of a time range, and each of its minutes in order, empty ones too."""

    events: int
    quarantined: int
    detections: int
    minutes: list[Minute]


@dataclass(frozen=True, slots=True)
class Heard:
    """A source and when its newest line reached us, UTC; `lines` of it are kept."""

    agency: str
    source: str
    at: datetime
    lines: int


@dataclass
class Where:
    """Conditions under way, with the parameters they use."""

    conditions: list[str] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)

    def add(self, condition: Callable[..., str], *values: tuple[str, Any]) -> None:
        """Add the condition that `condition` makes of one placeholder per (type, value)."""
        self.conditions.append(condition(*(self.bind(kind, value) for kind, value in values)))

    def bind(self, kind: str, value: Any) -> str:
        """Keep `value` as a parameter; gives the placeholder of that type."""
        name = f"p{len(self.params)}"
        self.params[name] = value
        return f"{{{name}:{kind}}}"

    def scope(self, agencies: Scope) -> None:
        if agencies is not None:
            self.add(lambda p: f"agency IN {p}", ("Array(String)", sorted(agencies)))

    def real(self) -> None:
        """What belongs to no exercise."""
        self.add(lambda: "exercise = ''")

    def between(self, column: str, since: datetime, until: datetime) -> None:
        time = "DateTime64(3, 'UTC')"
        self.add(lambda a, b: f"{column} >= {a} AND {column} < {b}", (time, since), (time, until))

    @property
    def sql(self) -> str:
        return " AND ".join(self.conditions) or "1"


async def get_event(store: Store, event_id: str, scope: Scope) -> dict[str, Any]:
    """The event of that id; NotFound when there is none within `scope`."""
    try:
        position = parse_event_id(event_id)
    except ValueError:
        position = None
    if position is None or not is_position(position):
        raise NotFound(f"there is no event {event_id!r}")
    where = Where()
    where.scope(scope)
    for column, value in zip(POSITION, position, strict=True):
        where.add(lambda p, name=column.name: f"{name} = {p}", (column.parameter, value))
    found = await store.query(f"SELECT {_COLUMNS} FROM events WHERE {where.sql} LIMIT 1", where.params, _LIMITS)
    if not found.num_rows:
        raise NotFound(f"there is no event {event_id!r}")
    return to_jsonable(found)[0]


async def counts(store: Store, since: datetime, until: datetime, scope: Scope) -> Counts:
    """What reached us in the minutes from `since` to `until` (both cut down to the minute), by our own clock."""
    start, end = _minute(since), _minute(until)
    events = await _per_minute(store, EVENTS, "received_at", start, end, scope)
    quarantined = await _per_minute(store, QUARANTINE, "received_at", start, end, scope)
    detections = await _per_minute(store, DETECTIONS, "detected_at", start, end, scope)
    minutes = [
        Minute(at, events.get(at, 0), quarantined.get(at, 0), detections.get(at, 0))
        for at in (start + i * _MINUTE for i in range(max(0, (end - start) // _MINUTE)))
    ]
    return Counts(sum(events.values()), sum(quarantined.values()), sum(detections.values()), minutes)


async def last_seen(store: Store, scope: Scope) -> list[Heard]:
    """Every source that a kept line came from, by agency and source, but those of exercises.

    Read from the projections `sources`, not from the rows.
    """
    where = Where()
    where.scope(scope)
    where.add(lambda p: f"NOT startsWith(source, {p})", ("String", SOURCE_PREFIX))
    of_table = " UNION ALL ".join(
        f"SELECT agency, source, max(received_at) AS at, count() AS lines FROM {table.name} WHERE {where.sql} GROUP BY agency, source"
        for table in (EVENTS, QUARANTINE)
    )
    found = await store.query(
        f"SELECT agency, source, max(at) AS heard, sum(lines) AS kept FROM ({of_table}) GROUP BY agency, source ORDER BY agency, source",
        where.params,
        _LIMITS,
    )
    return [Heard(row["agency"], row["source"], row["heard"].astimezone(UTC), row["kept"]) for row in found.to_pylist()]


async def _per_minute(store: Store, table: Table, column: str, since: datetime, until: datetime, scope: Scope) -> dict[datetime, int]:
    where = Where()
    where.between(column, since, until)
    where.scope(scope)
    where.real()
    if table is DETECTIONS:
        where.add(lambda: "origin != 'hunt'")  # what was asked of history did not happen now
    found = await store.query(
        f"SELECT toUnixTimestamp(toStartOfMinute({column})) AS at, count() AS n FROM {table.name} WHERE {where.sql} GROUP BY at",
        where.params,
        _LIMITS,
    )
    return {datetime.fromtimestamp(row["at"], UTC): row["n"] for row in found.to_pylist()}


def _minute(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def is_position(values: Sequence[object]) -> bool:
    """Whether `values` could be epoch, partition, offset and line: one for each, of its type and size."""
    return len(values) == len(POSITION) and all(
        isinstance(value, str) if column.kind.is_text else isinstance(value, int) and 0 <= value <= HIGHEST[column.kind]
        for column, value in zip(POSITION, values, strict=True)
    )
