"""What the detectors have done, seen and told: rows of the store's table `baseline_memory`.

A tick's rows are written in one insert, after its detections are on the bus; the row without a subject says that the tick is done. So a
tick is either wholly remembered or done again, and then it reads what was before it: `told` and `seen` take earlier ticks only.

The watch itself is remembered too (`WATCH`): each five-minute slot through which it ran. Nothing is held against a source for a time
in which nobody was there to receive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa

from core.storage.contract import Limits, Store
from core.storage.event_queries import Where
from core.storage.tables import BASELINE_MEMORY

WATCH: Final = "watch"
SLOT: Final = timedelta(minutes=5)

_LIMITS: Final = Limits(seconds=60.0, rows=1_000_000)
_TIME: Final = "DateTime64(3, 'UTC')"
_SUMS: Final = "sums"
Subject = tuple[str, str]
"""An agency and what in it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A subject of an agency, when it was seen, UTC, and how much of it where that is counted."""

    agency: str
    subject: str
    at: datetime
    amount: int = 0


class Memory:
    """The memory in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def last_ticks(self) -> Mapping[str, int]:
        """The newest tick each detector has done."""
        found = await self._store.query(
            "SELECT detector, max(tick) AS last FROM baseline_memory WHERE agency = '' AND subject = '' GROUP BY detector", limits=_LIMITS
        )
        return {row["detector"]: row["last"] for row in found.to_pylist()}

    async def told(self, detector: str, before: int, since: datetime) -> Mapping[Subject, datetime]:
        """What a detector told from `since` on in ticks earlier than `before`, and when last."""
        where = Where(["subject != ''"])
        where.add(lambda p: f"detector = {p}", ("String", detector))
        where.add(lambda p: f"tick < {p}", ("UInt64", before))
        where.add(lambda p: f"at >= {p}", (_TIME, since))
        found = await self._store.query(
            f"SELECT agency, subject, max(at) AS last FROM baseline_memory WHERE {where.sql} GROUP BY agency, subject",
            where.params,
            _LIMITS,
        )
        return {(row["agency"], row["subject"]): row["last"].astimezone(UTC) for row in found.to_pylist()}

    async def sums(self, detector: str, before: int, since: datetime, until: datetime) -> Mapping[Subject, int]:
        """The amounts a detector counted in [since, until) in ticks earlier than `before`, added up by subject."""
        where = _counted(detector, before, since, until)
        found = await self._store.query(
            f"SELECT agency, subject, sum(amount) AS total FROM baseline_memory WHERE {where.sql} GROUP BY agency, subject",
            where.params,
            _LIMITS,
        )
        return {(row["agency"], row["subject"]): row["total"] for row in found.to_pylist()}

    async def stretches(
        self, detector: str, before: int, since: datetime, until: datetime, length: timedelta, subjects: Collection[Subject]
    ) -> Mapping[Subject, list[float]]:
        """The same of each stretch of `length`, counted back from `until`, that has any."""
        where = _counted(detector, before, since, until)
        where.add(lambda p: f"agency IN {p}", ("Array(String)", sorted({agency for agency, _ in subjects})))
        where.add(lambda p: f"subject IN {p}", ("Array(String)", sorted({subject for _, subject in subjects})))
        stretch = Where([], where.params)
        stretch.add(
            lambda end, seconds: f"intDiv({end} - toUnixTimestamp(at) - 1, {seconds})",
            ("Int64", int(until.timestamp())),
            ("Int64", int(length.total_seconds())),
        )
        found = await self._store.query(
            "SELECT agency, subject, groupArray(toFloat64(total)) AS totals FROM (SELECT agency, subject, sum(amount) AS total "
            f"FROM baseline_memory WHERE {where.sql} GROUP BY agency, subject, {stretch.sql}) GROUP BY agency, subject",
            where.params,
            _LIMITS,
        )
        return {(row["agency"], row["subject"]): row["totals"] for row in found.to_pylist()}

    async def watched(self, since: datetime, until: datetime) -> Sequence[datetime]:
        """The slots between `since` and `until` through which the watch ran, by their start."""
        where = Where(["detector = 'watch'"])
        where.between("at", since, until)
        found = await self._store.query(f"SELECT DISTINCT at FROM baseline_memory WHERE {where.sql} ORDER BY at", where.params, _LIMITS)
        return [at.astimezone(UTC) for at in found["at"].to_pylist()]

    async def write_sums(self, detector: str, tick: int, sums: Iterable[Seen], done_at: datetime) -> None:
        """Remember amounts of a tick; before the tick is written as done."""
        await self.write(detector + _SUMS, tick, sums, done_at)

    async def write(self, detector: str, tick: int, seen: Iterable[Seen], done_at: datetime) -> None:
        """Remember that a tick is done and what it saw. Durable on return; the same tick is written once."""
        rows = [*seen, Seen("", "", done_at)]
        table = pa.table(
            [
                [detector] * len(rows),
                [tick] * len(rows),
                [row.agency for row in rows],
                [row.subject for row in rows],
                [row.at for row in rows],
                [row.amount for row in rows],
            ],
            schema=BASELINE_MEMORY.schema,
        )
        await self._store.insert(BASELINE_MEMORY.name, table, f"{BASELINE_MEMORY.name}/{detector}/{tick}")


def _counted(detector: str, before: int, since: datetime, until: datetime) -> Where:
    where = Where(["subject != ''"])
    where.add(lambda p: f"detector = {p}", ("String", detector + _SUMS))
    where.add(lambda p: f"tick < {p}", ("UInt64", before))
    where.between("at", since, until)
    return where
