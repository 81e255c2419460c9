"""Questions about events: search in pages, one event, counts, and when each source was last heard.

Every question takes a scope: the agencies the asker may see, None for all. Outside it nothing is found, counted or told.
Values go beside the SQL; column names come from `core.events` alone. Wrong filters and cursors raise Invalid (422).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any, Final, Literal

from core.clock import from_millis, millis
from core.errors import Invalid, NotFound
from core.events import DETECTIONS, EVENTS, POSITION, QUARANTINE, Column, Kind, Table, parse_event_id
from core.exercise import SOURCE_PREFIX
from core.storage.contract import Limits, Store
from core.storage.rows import to_jsonable

Scope = Collection[str] | None
Operator = Literal["eq", "prefix", "contains"]
MOST_PER_PAGE: Final = 1000

_LIMITS: Final = Limits(seconds=30.0, rows=100_000)
_COLUMNS: Final = ", ".join(f"`{name}`" for name in EVENTS.names)
_KEY: Final = ("event_time", *(column.name for column in POSITION))
_NEWEST_FIRST: Final = ", ".join(f"{name} DESC" for name in _KEY)
_HIGHEST: Final = {Kind.UINT8: 2**8 - 1, Kind.UINT16: 2**16 - 1, Kind.UINT32: 2**32 - 1, Kind.UINT64: 2**64 - 1}
_MINUTE: Final = timedelta(minutes=1)
_LATEST: Final = 7_258_118_400_000  # the year 2200: later times have no cursor
_MILLISECOND: Final = timedelta(milliseconds=1)
_NEWEST_PARTS: Final = (256, 16, 1)  # a full page is mostly found in the newest part of the range, without sorting all of it


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition. `eq` works on every column but times; an address column takes an address or a network (CIDR).

    `prefix` (letter case counts) and `contains` (it does not, in ASCII) work on text.
    """

    column: str
    operator: Operator
    value: str


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events: `since` <= event_time < `until`, all filters met; at most `limit`, newest first, from `cursor` on ('' = start)."""

    since: datetime
    until: datetime
    agencies: Scope
    filters: tuple[Filter, ...] = ()
    limit: int = 100
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Rows as `core.storage.rows` makes them. `cursor` asks for what is older; '' when there is nothing more."""

    rows: list[dict[str, Any]]
    cursor: str


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
        placeholders = []
        for kind, value in values:
            name = f"p{len(self.params)}"
            self.params[name] = value
            placeholders.append(f"{{{name}:{kind}}}")
        self.conditions.append(condition(*placeholders))

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


async def search(store: Store, query: EventQuery) -> EventPage:
    """One page of events. Events that arrive later never move what an earlier cursor points at."""
    if not 1 <= query.limit <= MOST_PER_PAGE:
        raise Invalid(f"limit must be between 1 and {MOST_PER_PAGE}")
    where = Where()
    where.scope(query.agencies)
    for condition in query.filters:
        _add_filter(where, condition)
    until = min(query.until, _add_cursor(where, query.cursor) + _MILLISECOND) if query.cursor else query.until
    for part in _NEWEST_PARTS:
        of_part = Where(list(where.conditions), dict(where.params))
        of_part.between("event_time", until - (until - query.since) / part, until)
        found = await store.query(
            f"SELECT {_COLUMNS} FROM events WHERE {of_part.sql} ORDER BY {_NEWEST_FIRST} LIMIT {query.limit + 1}", of_part.params, _LIMITS
        )
        if found.num_rows > query.limit:
            break
    page = found.slice(0, query.limit)
    more = found.num_rows > query.limit
    return EventPage(to_jsonable(page), _cursor_after(page.slice(query.limit - 1).to_pylist()[0]) if more else "")


async def get_event(store: Store, event_id: str, scope: Scope) -> dict[str, Any]:
    """The event of that id; NotFound when there is none within `scope`."""
    try:
        position = parse_event_id(event_id)
    except ValueError:
        position = None
    if position is None or not _is_position(position):
        raise NotFound(f"there is no event {event_id!r}")
    where = Where()
    where.scope(scope)
    for column, value in zip(POSITION, position, strict=True):
        where.add(lambda p, name=column.name: f"{name} = {p}", (_param_type(column), value))
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


def _add_filter(where: Where, condition: Filter) -> None:
    try:
        column = EVENTS.column(condition.column)
    except KeyError:
        raise Invalid(f"there is no column {condition.column!r}") from None
    if column.kind.is_text:
        _add_text(where, column, condition)
    elif condition.operator != "eq":
        raise Invalid(f"{condition.operator!r} works on text; {column.name} is no text")
    elif column.kind is Kind.IP:
        _add_network(where, column, condition.value)
    elif column.kind.is_number:
        _add_number(where, column, condition.value)
    else:
        raise Invalid(f"{column.name} is a time; give a range instead")


def _add_text(where: Where, column: Column, condition: Filter) -> None:
    make: Mapping[str, Callable[[str], str]] = {
        "eq": lambda p: f"`{column.name}` = {p}",
        "prefix": lambda p: f"startsWith(`{column.name}`, {p})",
        "contains": lambda p: f"positionCaseInsensitive(`{column.name}`, {p}) > 0",
    }
    where.add(make[condition.operator], ("String", condition.value))


def _add_network(where: Where, column: Column, value: str) -> None:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise Invalid(f"{column.name}: {value!r} is neither an address nor a network") from None
    first, last = _mapped(network.network_address), _mapped(network.broadcast_address)
    if first == last:
        where.add(lambda p: f"`{column.name}` = {p}", ("IPv6", first))
    else:
        where.add(lambda a, b: f"`{column.name}` BETWEEN {a} AND {b}", ("IPv6", first), ("IPv6", last))


def _mapped(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")


def _add_number(where: Where, column: Column, value: str) -> None:
    number = int(value) if value.isascii() and value.isdecimal() else -1
    if not 0 <= number <= _HIGHEST[column.kind]:
        raise Invalid(f"{column.name}: {value!r} is not a number from 0 to {_HIGHEST[column.kind]}")
    where.add(lambda p: f"`{column.name}` = {p}", (_param_type(column), number))


def _param_type(column: Column) -> str:
    return "String" if column.kind.is_text else column.kind.name.replace("UINT", "UInt")


def _cursor_after(row: Mapping[str, Any]) -> str:
    key = [millis(row["event_time"]), *(row[column.name] for column in POSITION)]
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def _add_cursor(where: Where, cursor: str) -> datetime:
    """Add that events come after `cursor`; gives the time it stands at."""
    try:
        at, *position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        time = from_millis(int(at))
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise Invalid("the cursor is not one of ours") from None
    if not _is_position(position) or not 0 <= at < _LATEST:
        raise Invalid("the cursor is not one of ours")
    types = ("DateTime64(3, 'UTC')", *(_param_type(column) for column in POSITION))
    where.add(lambda *p: f"({', '.join(_KEY)}) < ({', '.join(p)})", *zip(types, (time, *position), strict=True))
    return time


def _is_position(values: Sequence[object]) -> bool:
    """Whether `values` could be epoch, partition, offset and line: one for each, of its type and size."""
    return len(values) == len(POSITION) and all(
        isinstance(value, str) if column.kind.is_text else isinstance(value, int) and 0 <= value <= _HIGHEST[column.kind]
        for column, value in zip(POSITION, values, strict=True)
    )
