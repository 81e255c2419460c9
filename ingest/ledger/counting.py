"""The numbers of a stretch of hours, from three sides: what was received, what the store holds, how far the detector said it came.

`evaluated` are the stored lines at raw offsets that the detector said it ran through (topic `evaluated`), or a hunt ran through instead.
What lies before the first message that was counted, or in an epoch none was counted of, is from before the ledger and told apart.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.database import Database
from core.events import EVENTS, QUARANTINE, Table
from core.storage.contract import Store
from core.storage.ledger_queries import Held, Place, Stretch, held
from ingest.ledger.chain import Figures, Record
from ingest.ledger.models import LONGEST, Received, ReceivedPosition
from ingest.ledger.receiving import Key

Covered = Mapping[Place, Sequence[Stretch]]


@dataclass(frozen=True, slots=True)
class Means:
    """What the ledger needs of the other stages.

    `covered` gives the stretches that were evaluated; `record` appends to the audit trail; `anchors` gives what `chain` told it, in order.
    """

    covered: Callable[[Session], Covered]
    record: Record
    anchors: Callable[[Session], Iterable[tuple[int, str]]]


@dataclass(frozen=True, slots=True)
class Tally:
    """A row of `Received`, as it was read."""

    place: Place
    key: Key
    lines: int
    counted_at: datetime
    entered: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """The numbers by what they are about; `tallies` are those `received` is the sum of, `before` the lines from before the ledger."""

    figures: Mapping[Key, Figures]
    tallies: Sequence[Tally]
    before: int


async def count(store: Store, database: Database, means: Means, since: datetime, until: datetime) -> Counted:
    """Count what was received from `since` to before `until`, both full hours. QueryTooCostly and StoreUnavailable as of the store."""
    tallies, starts, covered = await asyncio.to_thread(_read, database, means, since, until)
    stored, before = await _of_table(store, EVENTS, since, until, starts)
    quarantined, also_before = await _of_table(store, QUARANTINE, since, until, starts)
    missing = await _not_evaluated(store, since, until, stored, covered)
    received, held_events, held_back = Counter[Key](), _by_key(stored), _by_key(quarantined)
    for tally in tallies:
        received[tally.key] += tally.lines
    figures = {
        key: Figures(received[key], held_events[key], held_back[key], held_events[key] - missing[key])
        for key in received.keys() | held_events.keys() | held_back.keys()
    }
    return Counted(figures, tallies, before + also_before)


def _read(database: Database, means: Means, since: datetime, until: datetime) -> tuple[list[Tally], dict[Place, int], Covered]:
    with database.session(readonly=True) as session:
        rows = session.scalars(sa.select(Received).where(Received.hour >= since, Received.hour < until))
        tallies = [_tally(row) for row in rows]
        starts = {(row.raw_epoch, row.raw_partition): row.first_offset for row in session.scalars(sa.select(ReceivedPosition))}
        return tallies, starts, means.covered(session)


def _tally(row: Received) -> Tally:
    key = Key(row.hour, row.agency, row.source, row.exercise)
    return Tally((row.raw_epoch, row.raw_partition), key, row.lines, row.counted_at, row.entered)


async def _of_table(store: Store, table: Table, since: datetime, until: datetime, starts: Mapping[Place, int]) -> tuple[list[Held], int]:
    """What the table holds of the ledger's time, and how many lines are from before it."""
    found: list[Held] = []
    before = 0
    straddling: set[Place] = set()
    for one in await held(store, table, since, until, LONGEST):
        start = starts.get(one.place)
        if start is None or one.last < start:
            before += one.lines
        elif one.first < start:
            straddling.add(one.place)
            before += one.lines
        else:
            found.append(one)
    for place in sorted(straddling):
        known = {(one.hour, one.agency, one.source, one.exercise) for one in found if one.place == place}
        late = await held(store, table, since, until, LONGEST, place, [(starts[place], 2**63)])
        more = [one for one in late if (one.hour, one.agency, one.source, one.exercise) not in known]
        found += more
        before -= sum(one.lines for one in more)
    return found, before


async def _not_evaluated(store: Store, since: datetime, until: datetime, stored: Sequence[Held], covered: Covered) -> Counter[Key]:
    """The stored lines at raw offsets that nothing ran through. Where all is covered, as it should be, nothing more is asked for."""
    reach: dict[Place, list[Held]] = defaultdict(list)
    for one in stored:
        reach[one.place].append(one)
    missing = Counter[Key]()
    for place, ones in reach.items():
        first, last = min(one.first for one in ones), max(one.last for one in ones)
        if open_ := uncovered((first, last), covered.get(place, ())):
            missing += _by_key(await held(store, EVENTS, since, until, LONGEST, place, open_))
    return missing


def uncovered(whole: Stretch, covered: Sequence[Stretch]) -> list[Stretch]:
    """The parts of `whole` that none of `covered`, which are in order, holds."""
    found = []
    at, end = whole
    for first, last in covered:
        if first > end:
            break
        if first > at:
            found.append((at, first - 1))
        at = max(at, last + 1)
    if at <= end:
        found.append((at, end))
    return found


def _by_key(ones: Iterable[Held]) -> Counter[Key]:
    counts = Counter[Key]()
    for one in ones:
        counts[Key(one.hour, one.agency, one.source, one.exercise)] += one.lines
    return counts
