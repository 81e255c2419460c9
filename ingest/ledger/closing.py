"""Closing hours: an hour is entered once every stage has passed all that was received in it, and entered anew when that changes.

- The watermark (`core.bus.progress`) says up to when all that was on the bus is counted, normalised, stored, evaluated, and told so. An
  hour is closed when the watermark is GRACE past its end: a line's time of receipt is taken before it is on the bus.
- Lines that come later make their `Received` rows open again, and give a further entry (the next revision). So does an hour that did not
  hold and was put right, as by a hunt over what the detector missed: those of LOOKED_AGAIN are counted again as each hour is closed.
- Doing it twice, or in two processes, enters nothing twice: under the lock an entry is only added when it differs from the one that holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session, aliased

from core import metrics, topics
from core.bus.contract import Bus
from core.bus.progress import Leg, Progress
from core.clock import Clock
from core.database import Database, exclusive
from core.storage.contract import Store
from ingest.ledger.chain import Figures, append, figures_of, key_of
from ingest.ledger.counting import Means, Tally, count
from ingest.ledger.models import LedgerEntry, Received
from ingest.ledger.receiving import LOCK, Key, hour_of

HOUR: Final = timedelta(hours=1)
GRACE: Final = timedelta(minutes=2)
LOOKED_AGAIN: Final = timedelta(days=7)
WAY: Final[Sequence[Leg]] = (
    (("ledger", topics.LOGS_RAW), ("normalise", topics.LOGS_RAW)),
    (("store-events", topics.EVENTS), ("store-quarantine", topics.QUARANTINE), ("detect", topics.EVENTS)),
    (("evaluated", topics.EVALUATED),),
)
"""The way of a line, leg by leg, until all is known of it that the ledger tells."""
_log = structlog.get_logger()


class Closing:
    """Call `step` now and then."""

    def __init__(self, store: Store, bus: Bus, database: Database, clock: Clock, means: Means) -> None:
        self._store = store
        self._database = database
        self._clock = clock
        self._means = means
        self._progress = Progress(bus, WAY)
        self._closed_until: datetime | None = None

    async def step(self) -> list[datetime]:
        """Enter the hours that are due; gives them. BusError and StoreError: the next step tries again."""
        reached = await self._progress.reached(self._clock.now())
        if reached is None:
            return []
        edge = hour_of(reached - GRACE)
        again = edge != self._closed_until
        due = await asyncio.to_thread(self._due, edge, again)
        entered = [hour for hour in due if await self._enter(hour, reached)]
        self._closed_until = edge
        return entered

    def _due(self, edge: datetime, again: bool) -> list[datetime]:
        """The hours before `edge` with lines no entry tells of; with `again` those too that did not hold of late."""
        with self._database.session(readonly=True) as session:
            hours = set(session.scalars(sa.select(Received.hour).where(Received.entered.is_(False), Received.hour < edge).distinct()))
            if again:
                open_ = (LedgerEntry.holds.is_(False), LedgerEntry.hour >= edge - LOOKED_AGAIN)
                hours |= {key.hour for key, entry in latest(session, *open_).items() if not entry.holds}
        return sorted(hours)

    async def _enter(self, hour: datetime, reached: datetime) -> bool:
        counted = await count(self._store, self._database, self._means, hour, hour + HOUR)
        under_way = {tally.key for tally in counted.tallies if tally.counted_at > reached}
        said = {key: figures for key, figures in counted.figures.items() if key not in under_way}
        tallies = [tally for tally in counted.tallies if tally.key not in under_way]
        return await asyncio.to_thread(self._write, hour, said, tallies)

    def _write(self, hour: datetime, said: Mapping[Key, Figures], tallies: Sequence[Tally]) -> bool:
        with self._database.session() as session:
            exclusive(session, LOCK)
            known = latest(session, LedgerEntry.hour == hour)
            added = [
                (key, known[key].revision + 1 if key in known else 1, figures)
                for key, figures in sorted(said.items())
                if key not in known or figures_of(known[key]) != figures
            ]
            append(session, added, self._means.record)
            _mark(session, tallies)
        wrong = [key for key, _, figures in added if not figures.holds]
        metrics.LEDGER_ENTRIES.labels("holds").inc(len(added) - len(wrong))
        metrics.LEDGER_ENTRIES.labels("differs").inc(len(wrong))
        for key in wrong[:10]:
            _log.error("ledger.differs", hour=str(key.hour), agency=key.agency, source=key.source, figures=str(said.get(key)))
        return bool(added)


def latest(session: Session, *conditions: sa.ColumnElement[bool]) -> dict[Key, LedgerEntry]:
    """The entries that meet `conditions` and that no later one replaces, by what they are about."""
    later = aliased(LedgerEntry)
    same = [getattr(later, name) == getattr(LedgerEntry, name) for name in ("hour", "agency", "source", "exercise")]
    replaced = sa.exists().where(*same, later.revision > LedgerEntry.revision)
    found = session.scalars(sa.select(LedgerEntry).where(*conditions, ~replaced))
    return {key_of(entry): entry for entry in found}


def _mark(session: Session, tallies: Sequence[Tally]) -> None:
    """Say that entries tell of these tallies, unless more came since they were read."""
    for tally in tallies:
        if not tally.entered:
            epoch, partition = tally.place
            session.execute(
                sa.update(Received)
                .where(
                    Received.raw_epoch == epoch,
                    Received.raw_partition == partition,
                    Received.hour == tally.key.hour,
                    Received.agency == tally.key.agency,
                    Received.source == tally.key.source,
                    Received.exercise == tally.key.exercise,
                    Received.lines == tally.lines,
                )
                .values(entered=True)
                .execution_options(synchronize_session=False)
            )
