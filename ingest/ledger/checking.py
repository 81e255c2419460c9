"""Checking the ledger: walk the chain, count all again from the store and the bus' offsets, and say what is wrong and where.

Hours that no entry tells of yet are judged too when every stage is idle; while lines are on their way they are not. A difference is looked
at again before it is told: a late line may be stored a moment before it is counted as received.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core import topics
from core.bus.contract import Bus
from core.clock import Clock
from core.database import Database, insert_into
from core.storage.contract import Store
from core.storage.ledger_queries import days_held
from ingest.ledger.chain import GENESIS, Figures, Walked, entries, figures_of, walk
from ingest.ledger.closing import HOUR, WAY, latest
from ingest.ledger.counting import Counted, Means, count
from ingest.ledger.models import LedgerCheck, LedgerEntry, Received, ReceivedPosition
from ingest.ledger.receiving import Key, hour_of

Kind = Literal["whole", "recent"]
What = Literal["chain", "differs", "changed", "open", "gone", "offsets"]
RECENT: Final = timedelta(hours=25)
MOST_TOLD: Final = 200
_DAY: Final = timedelta(days=1)
_LOOKS: Final = 3
_PAUSE: Final = 1.5  # seconds


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong.

    - `chain`: an entry was changed, removed or put in; `detail` says which.
    - `differs`: the entry that holds for `hour` (agency, source) says itself that lines are missing: `said`.
    - `changed`: the entry says `said`, but what is there now is `found`.
    - `open`: no entry tells of the hour yet, nothing is on its way, and the numbers `found` do not agree.
    - `gone`: messages were gone from the bus before they were counted; `offsets`: a partition's messages do not add up. See `detail`.
    """

    what: What
    detail: str
    hour: datetime | None = None
    agency: str = ""
    source: str = ""
    exercise: bool = False
    said: Figures | None = None
    found: Figures | None = None


@dataclass
class Report:
    """The outcome of a check. Of the problems at most 200 are told, `left_out` is the number of the others.

    `counted` are the lines of all hours that were counted again, `hours` how many hours that were and `open_hours` how many of them no
    entry tells of yet. `waiting` are the messages before each stage; `before` the lines in the store from before the ledger.
    """

    at: datetime
    kind: Kind
    entries: int = 0
    head: str = GENESIS
    hours: int = 0
    open_hours: int = 0
    counted: Figures = field(default_factory=Figures)
    before: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    left_out: int = 0

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def add(self, found: Iterable[Problem]) -> None:
        """Tell of more problems."""
        for one in found:
            if len(self.problems) < MOST_TOLD:
                self.problems.append(one)
            else:
                self.left_out += 1

    def plain(self) -> dict[str, Any]:
        """As JSON has it; times ISO 8601 in UTC."""
        return {"holds": self.holds, **_plain(asdict(self))}


class Checking:
    """Looks at one ledger."""

    def __init__(self, store: Store, bus: Bus, database: Database, clock: Clock, means: Means) -> None:
        self._store = store
        self._bus = bus
        self._database = database
        self._clock = clock
        self._means = means

    async def check(self, kind: Kind) -> Report:
        """Check all, or what belongs to the last day, and remember what came of it. StoreError and BusError: something does not answer."""
        now = self._clock.now()
        since = hour_of(now - RECENT) if kind == "recent" else None
        ends = await self._bus.end_offsets(topics.LOGS_RAW)
        report = Report(now, kind, waiting=await self._waiting())
        walked = await asyncio.to_thread(self._walk, since)
        report.entries, report.head = walked.seq, walked.head
        if walked.problem:
            report.add([Problem("chain", walked.problem)])
        report.add(await asyncio.to_thread(self._offsets, ends, await self._bus.epoch(topics.LOGS_RAW)))
        async for start, end in self._stretches(since):
            await self._compare(report, start, end, ends)
        await asyncio.to_thread(self._remember, report)
        return report

    async def _is_idle(self, ends: Mapping[int, int]) -> bool:
        """Whether nothing came since `logs.raw` ended at `ends`, and every stage has done all that came before."""
        return not await self._waiting() and ends == await self._bus.end_offsets(topics.LOGS_RAW)

    async def _waiting(self) -> dict[str, int]:
        """The messages before each stage of the way, of those that have some."""
        found = {}
        for group, topic in (reader for leg in WAY for reader in leg):
            if messages := sum(lag.messages for lag in await self._bus.lag(group, topic)):
                found[group] = messages
        return found

    def _walk(self, since: datetime | None) -> Walked:
        with self._database.session(readonly=True) as session:
            start = Walked(0, GENESIS)
            if since is not None:
                earlier = sa.select(LedgerEntry.seq, LedgerEntry.hash).where(LedgerEntry.at < since)
                if found := session.execute(earlier.order_by(LedgerEntry.seq.desc()).limit(1)).one_or_none():
                    start = Walked(*found)
            return walk(entries(session, start.seq + 1), self._means.anchors(session), start)

    def _offsets(self, ends: Mapping[int, int], epoch: str) -> list[Problem]:
        """What is wrong with the messages that were counted of each partition."""
        place = (Received.raw_epoch, Received.raw_partition)
        with self._database.session(readonly=True) as session:
            sums = session.execute(sa.select(*place, sa.func.sum(Received.messages)).group_by(*place))
            counted = {(epoch, partition): int(messages) for epoch, partition, messages in sums}
            positions = session.scalars(sa.select(ReceivedPosition)).all()
        found = []
        for one in sorted(positions, key=lambda one: (one.raw_epoch, one.raw_partition)):
            name = f"{topics.LOGS_RAW}/{one.raw_partition} (epoch {one.raw_epoch})"
            passed = one.next_offset - one.first_offset - one.missed
            told = counted.get((one.raw_epoch, one.raw_partition), 0)
            end = ends.get(one.raw_partition, 0) if one.raw_epoch == epoch else one.next_offset
            if one.missed:
                found.append(Problem("gone", f"{one.missed} messages of {name} were gone from the bus before they were counted"))
            if told != passed:
                found.append(Problem("offsets", f"{name}: {told} messages are counted, but its offsets say {passed}"))
            if one.next_offset > end:
                found.append(Problem("offsets", f"{name} was counted up to {one.next_offset}, but ends at {end}"))
        return found

    async def _stretches(self, since: datetime | None) -> AsyncIterator[tuple[datetime, datetime]]:
        """What is to be counted again, in days."""
        days = set(await days_held(self._store)) | await asyncio.to_thread(self._days_known)
        for day in sorted(days):
            start = max(day, since) if since is not None else day
            if start < day + _DAY:
                yield start, day + _DAY

    def _days_known(self) -> set[datetime]:
        with self._database.session(readonly=True) as session:
            hours = sa.union(sa.select(Received.hour), sa.select(LedgerEntry.hour))
            return {hour.replace(hour=0) for hour in session.scalars(hours)}

    async def _compare(self, report: Report, start: datetime, end: datetime, ends: Mapping[int, int]) -> None:
        for look in range(_LOOKS):
            counted = await count(self._store, self._database, self._means, start, end)
            known = await asyncio.to_thread(self._known, start, end)
            idle = await self._is_idle(ends)
            found = list(_problems(counted, known, idle))
            if idle or not any(one.what == "changed" for one in found) or look + 1 == _LOOKS:
                break
            await asyncio.sleep(_PAUSE)
        report.add(found)
        report.before += counted.before
        report.hours += len({key.hour for key in counted.figures.keys() | known.keys()})
        report.open_hours += len({tally.key.hour for tally in counted.tallies if not tally.entered})
        report.counted = _sum([report.counted, *counted.figures.values()])

    def _known(self, start: datetime, end: datetime) -> dict[Key, Figures]:
        with self._database.session(readonly=True) as session:
            found = latest(session, LedgerEntry.hour >= start, LedgerEntry.hour < end)
            return {key: figures_of(entry) for key, entry in found.items()}

    def _remember(self, report: Report) -> None:
        with self._database.session() as session:
            values = {"at": report.at, "holds": report.holds, "report": report.plain()}
            insert = insert_into(session, LedgerCheck).values(kind=report.kind, **values)
            session.execute(insert.on_conflict_do_update(index_elements=["kind"], set_=values))


def _problems(counted: Counted, known: Mapping[Key, Figures], idle: bool) -> Iterable[Problem]:
    pending = {tally.key for tally in counted.tallies if not tally.entered}
    for key in sorted(counted.figures.keys() | known.keys()):
        found, said = counted.figures.get(key, Figures()), known.get(key)
        about: dict[str, Any] = asdict(key)
        if said is not None and key not in pending:
            if found != said:
                yield Problem("changed", f"the entry says {told(said)}; now there are {told(found)}", **about, said=said, found=found)
            elif not said.holds:
                yield Problem("differs", f"{told(said)}: {difference(said)}", **about, said=said, found=found)
        elif idle and not found.holds:
            yield Problem("open", f"{told(found)}: {difference(found)}", **about, found=found)


def told(figures: Figures) -> str:
    """Four numbers in words."""
    return f"{figures.received:,} received, {figures.stored:,} stored, {figures.quarantined:,} quarantined, {figures.evaluated:,} evaluated"


def difference(figures: Figures) -> str:
    """What does not agree, in words."""
    lost = figures.received - figures.stored - figures.quarantined
    missed = figures.stored - figures.evaluated
    said = [f"{lost:,} received lines are neither stored nor quarantined"] if lost > 0 else []
    said += [f"{-lost:,} lines are there that were never received"] if lost < 0 else []
    said += [f"{missed:,} stored lines were not evaluated"] if missed > 0 else []
    return "; ".join(said)


def _sum(parts: Sequence[Figures]) -> Figures:
    return Figures(*(sum(getattr(one, name) for one in parts) for name in ("received", "stored", "quarantined", "evaluated")))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def closed_until(session: Session) -> datetime | None:
    """The end of the last hour that was entered; None when none was."""
    hour = session.scalar(sa.select(sa.func.max(LedgerEntry.hour)))
    return None if hour is None else hour + HOUR
