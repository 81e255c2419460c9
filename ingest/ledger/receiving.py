"""What was received: a handler for `core.stage.Stage` on `logs.raw` that reads headers and counts, one step a message and none a line.

It is no part of the way of a line, and trusts none: the number is what the receiver wrote when it took the lines. A message is counted
once: its counts and the offset behind it become durable together, and what lies before that offset is a repetition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.orm import Session

from core import topics
from core.bus.contract import Bus, Record
from core.clock import Clock, from_millis, millis
from core.database import Database, exclusive, insert_into, now
from core.events import UNKNOWN_AGENCY
from core.signing import Verifier
from ingest import rawbatch
from ingest.exercises import Exercises
from ingest.ledger.models import LONGEST, Received, ReceivedPosition

LOCK: Final = "ledger"
_HOUR_MS: Final = 3_600_000
_Named = tuple[int, str, str, bool]
"""Hours since the epoch, agency and source of the headers, whether it is an exercise."""
_log = structlog.get_logger()


@dataclass(frozen=True, order=True, slots=True)
class Key:
    """What an entry is about."""

    hour: datetime
    agency: str
    source: str
    exercise: bool = False


class Receiving:
    """`handle` is the handler. `verifier` is the centre's public key, by which lines are known to be an exercise."""

    def __init__(self, bus: Bus, database: Database, clock: Clock, verifier: Verifier | None) -> None:
        self._bus = bus
        self._database = database
        self._exercises = Exercises(verifier, clock)
        self._epoch = ""

    async def handle(self, records: Sequence[Record], generation: int) -> None:  # noqa: ARG002 - nothing is remembered between calls
        """Count `records`; durable on return. StoreUnavailable when the database does not answer."""
        if not self._epoch:
            self._epoch = await self._bus.epoch(topics.LOGS_RAW)
        await asyncio.to_thread(self._count, records)

    def _count(self, records: Sequence[Record]) -> None:
        with self._database.session() as session:
            exclusive(session, LOCK)
            for partition in sorted({record.partition for record in records}):
                self._count_partition(session, partition, [record for record in records if record.partition == partition])

    def _count_partition(self, session: Session, partition: int, records: Sequence[Record]) -> None:
        place = session.get(ReceivedPosition, (self._epoch, partition))
        if place is None:
            start = records[0].offset
            place = ReceivedPosition(raw_epoch=self._epoch, raw_partition=partition, first_offset=start, next_offset=start, missed=0)
            session.add(place)
        counts: dict[_Named, list[int]] = {}
        for record in records:
            if record.offset < place.next_offset:
                continue
            if record.offset > place.next_offset:
                _log.error("ledger.messages_gone", partition=partition, since=place.next_offset, until=record.offset)
                place.missed += record.offset - place.next_offset
            place.next_offset = record.offset + 1
            count = counts.setdefault(self._named(record), [0, 0])
            count[0] += rawbatch.lines_of(record)
            count[1] += 1
        for named in sorted(counts):
            hour, agency, source, exercise = named
            key = Key(from_millis(hour * _HOUR_MS), (agency or UNKNOWN_AGENCY)[:LONGEST], source[:LONGEST], exercise)
            _add(session, self._epoch, partition, key, *counts[named])

    def _named(self, record: Record) -> _Named:
        """What a message is counted under, as it says itself; little is done here, for there are sources whose messages are lines."""
        headers, at = record.headers, millis(rawbatch.received_at(record))
        exercise = topics.H_EXERCISE in headers and bool(self._exercises.number(rawbatch.origin_of(headers), at))
        return at // _HOUR_MS, headers.get(topics.H_AGENCY, ""), headers.get(topics.H_SOURCE, ""), exercise


def hour_of(at: datetime) -> datetime:
    """The hour (UTC) in which `at` is, by its start."""
    return at.replace(minute=0, second=0, microsecond=0)


def _add(session: Session, epoch: str, partition: int, key: Key, lines: int, messages: int) -> None:
    insert = insert_into(session, Received).values(
        raw_epoch=epoch,
        raw_partition=partition,
        hour=key.hour,
        agency=key.agency,
        source=key.source,
        exercise=key.exercise,
        lines=lines,
        messages=messages,
        counted_at=now(session),
        entered=False,
    )
    added = {
        "lines": Received.lines + insert.excluded.lines,
        "messages": Received.messages + insert.excluded.messages,
        "counted_at": insert.excluded.counted_at,
        "entered": False,
    }
    names = ["raw_epoch", "raw_partition", "hour", "agency", "source", "exercise"]
    session.execute(insert.on_conflict_do_update(index_elements=names, set_=added))
