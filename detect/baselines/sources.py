"""How many lines each source sent in which hour, of the projections `slots`: events and quarantined lines alike, replays left out.

A slot is five minutes of receive time; it is active when a line of the source came in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from core.events import EVENTS, QUARANTINE
from core.storage.contract import Limits, Store
from core.storage.event_queries import Where
from detect.baselines.memory import Subject
from detect.baselines.population import LIVE, Agencies
from detect.baselines.seasons import hour_of

HISTORY: Final = timedelta(days=36)
"""How far back sources are known: four weeks before a gap of one, and a day."""

_LIMITS: Final = Limits(seconds=120.0, rows=1_000_000)
_SLOT: Final = "toStartOfFiveMinutes(received_at)"


@dataclass(frozen=True, slots=True)
class Source:
    """A source, with the starts of the first and the last slot in which it was heard, UTC."""

    agency: str
    name: str
    first: datetime
    last: datetime

    @property
    def key(self) -> Subject:
        return self.agency, self.name

    @property
    def first_hour(self) -> int:
        """The first hour that is wholly known."""
        return hour_of(self.first) + 1


@dataclass(frozen=True, slots=True)
class Hour:
    """What an hour of a source brought."""

    lines: int
    active_slots: int


async def sources(
    store: Store, agencies: Agencies, until: datetime, history: timedelta = HISTORY, keys: Collection[Subject] | None = None
) -> list[Source]:
    """Every source heard within `history` before `until`, or those of `keys` alone, by agency and name."""
    where = Where()
    agencies.add_to(where)
    if keys is not None:
        _add_keys(where, keys)
    _between(where, until - history, until)
    found = await store.query(
        f"SELECT agency, source, toUnixTimestamp(min(slot)) AS first, toUnixTimestamp(max(slot)) AS last FROM ({_slots(where)}) "
        "WHERE lines > 0 GROUP BY agency, source ORDER BY agency, source",
        where.params,
        _LIMITS,
    )
    known = [
        Source(row["agency"], row["source"], datetime.fromtimestamp(row["first"], UTC), datetime.fromtimestamp(row["last"], UTC))
        for row in found.to_pylist()
    ]
    return known if keys is None else [one for one in known if one.key in keys]


async def hours(
    store: Store, keys: Collection[Subject], since: datetime, until: datetime, *, of_day: int | None = None
) -> Mapping[Subject, Mapping[int, Hour]]:
    """What the hours from `since` to `until` brought, of the sources `keys`; of one hour of the day (0 to 23, UTC) where it is given."""
    where = Where()
    _add_keys(where, keys)
    _between(where, since, until)
    if of_day is not None:
        where.add(lambda p: f"toHour({_SLOT}) = {p}", ("UInt8", of_day))
    found = await store.query(
        "SELECT agency, source, groupArray(hour) AS hours, groupArray(sent) AS lines, groupArray(active) AS active FROM ("
        "SELECT agency, source, intDiv(toUnixTimestamp(slot), 3600) AS hour, sum(lines) AS sent, uniqExactIf(slot, lines > 0) AS active "
        f"FROM ({_slots(where)}) GROUP BY agency, source, hour) GROUP BY agency, source",
        where.params,
        _LIMITS,
    )
    return {
        (row["agency"], row["source"]): {
            hour: Hour(lines, active) for hour, lines, active in zip(row["hours"], row["lines"], row["active"], strict=True)
        }
        for row in found.to_pylist()
    }


def _slots(where: Where) -> str:
    return " UNION ALL ".join(
        f"SELECT agency, source, {_SLOT} AS slot, countIf({LIVE}) AS lines FROM {table.name} WHERE {where.sql} "
        "GROUP BY agency, source, slot"
        for table in (EVENTS, QUARANTINE)
    )


def _add_keys(where: Where, keys: Collection[Subject]) -> None:
    where.add(lambda p: f"agency IN {p}", ("Array(String)", sorted({agency for agency, _ in keys})))
    where.add(lambda p: f"source IN {p}", ("Array(String)", sorted({name for _, name in keys})))


def _between(where: Where, since: datetime, until: datetime) -> None:
    """By slots, so that the projection serves; both ends are starts of slots."""
    where.between(_SLOT, since, until)
