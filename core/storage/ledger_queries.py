"""What the store holds of the hours of the intake ledger, counted by where the lines came from and when they were received.

Names are cut at so many characters as the ledger keeps. A row of quarantine may stand for several lines (`lines`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from core.events import EVENTS, QUARANTINE, Table
from core.storage.contract import Limits, Store
from core.storage.event_queries import Where

_LIMITS: Final = Limits(seconds=120.0, rows=500_000)
_LINES: Final = {EVENTS.name: "count()", QUARANTINE.name: "sum(ifNull(lines, 1))"}

Place = tuple[str, int]
"""Epoch and partition of `logs.raw`."""
Stretch = tuple[int, int]
"""Raw offsets, both ends included."""


@dataclass(frozen=True, slots=True)
class Held:
    """Lines of a source in an hour from one partition, and the raw offsets between which they lie."""

    place: Place
    hour: datetime
    agency: str
    source: str
    exercise: bool
    lines: int
    first: int
    last: int


async def held(
    store: Store,
    table: Table,
    since: datetime,
    until: datetime,
    longest: int,
    place: Place | None = None,
    stretches: Sequence[Stretch] = (),
) -> list[Held]:
    """What `table` (EVENTS or QUARANTINE) holds of what was received from `since` to before `until`.

    With `place` only what came from there, at the raw offsets of `stretches`. QueryTooCostly when it is too much.
    """
    where = Where()
    where.between("received_at", since, until)
    if place is not None:
        where.add(lambda epoch, part: f"raw_epoch = {epoch} AND raw_partition = {part}", ("String", place[0]), ("UInt16", place[1]))
        firsts, lasts = ([stretch[end] for stretch in stretches] for end in (0, 1))
        within = "arrayExists((a, b) -> raw_offset >= a AND raw_offset <= b, {}, {})"
        where.add(within.format, ("Array(UInt64)", firsts), ("Array(UInt64)", lasts))
    cut = where.bind("UInt16", longest)
    found = await store.query(
        f"SELECT raw_epoch, raw_partition, toUnixTimestamp(toStartOfHour(received_at)) AS hour, substringUTF8(agency, 1, {cut}) AS who, "
        f"substringUTF8(source, 1, {cut}) AS what, exercise != '' AS drill, {_LINES[table.name]} AS held, min(raw_offset) AS first, "
        f"max(raw_offset) AS last FROM {table.name} WHERE {where.sql} GROUP BY raw_epoch, raw_partition, hour, who, what, drill",
        where.params,
        _LIMITS,
    )
    return [
        Held(
            (row["raw_epoch"], row["raw_partition"]),
            datetime.fromtimestamp(row["hour"], UTC),
            row["who"],
            row["what"],
            bool(row["drill"]),
            row["held"],
            row["first"],
            row["last"],
        )
        for row in found.to_pylist()
    ]


async def days_held(store: Store) -> list[datetime]:
    """The days (UTC, by their start) of which the store holds a line, in order."""
    of_table = " UNION DISTINCT ".join(f"SELECT DISTINCT toUnixTimestamp(toStartOfDay(received_at)) AS day FROM {one}" for one in _LINES)
    found = await store.query(f"SELECT day FROM ({of_table}) ORDER BY day", None, _LIMITS)
    return [datetime.fromtimestamp(day, UTC) for day in found["day"].to_pylist()]
