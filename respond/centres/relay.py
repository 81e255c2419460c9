"""From accepted alerts to the topic `detections`, each once: a maker with an order of its own (`core.topics`).

Alerts get their positions in one transaction, under the lock `alerts`, and are sent in the order of positions, all to partition 0; only
then they are marked as sent and their content is dropped. So before an offset goes out, everything below it has: whatever is killed when,
and with two relays beside each other, what comes again is a repetition, which readers drop.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core import arrow, metrics, topics
from core.bus.contract import Bus, Message
from core.database import Database, exclusive, now
from core.events import DETECTIONS
from respond.centres.findings import KIND, row_of
from respond.centres.models import AlertSequence, CentreAlert, LinkedCentre

EVERY_SECONDS: Final = 1.0
AT_A_TIME: Final = 200
_BYTES_A_MESSAGE: Final = 512 << 10  # of lines, and as much again for what is said of them: below what a broker takes by default
_WAITS: Final = CentreAlert.sent_at.is_(None)


class Relay:
    """Sends what was accepted; `step` does all that waits."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus

    async def step(self) -> None:
        """Send every alert that waits. StoreError or BusError when one of them does not answer: what was not marked is sent again."""
        while waiting := await asyncio.to_thread(self._next):
            for ids, rows in _messages(waiting):
                await self._bus.produce(topics.DETECTIONS, [Message(arrow.encode(rows), partition=0)])
                await asyncio.to_thread(self._mark, ids)
                for source in rows["source"].to_pylist():
                    metrics.DETECTIONS.labels(f"{KIND}/{source}").inc()

    def _next(self) -> Sequence[tuple[int, dict[str, object]]]:
        """Ids and rows of the next alerts by position; those without one get it."""
        with self._database.session(readonly=True) as session:
            if session.scalar(sa.select(CentreAlert.id).where(_WAITS).limit(1)) is None:
                return []
        with self._database.session() as session:
            exclusive(session, "alerts")
            sequence = _sequence(session)
            fresh = sa.select(CentreAlert).where(_WAITS, CentreAlert.position.is_(None)).order_by(CentreAlert.id).limit(AT_A_TIME)
            for one in session.scalars(fresh).all():
                sequence.last += 1
                one.position = sequence.last
            session.flush()
            query = sa.select(CentreAlert, LinkedCentre.name).join(LinkedCentre, LinkedCentre.number == CentreAlert.centre)
            query = query.where(_WAITS, CentreAlert.position.is_not(None)).order_by(CentreAlert.position).limit(AT_A_TIME)
            return [(one.id, row_of(one, name, sequence.epoch)) for one, name in session.execute(query)]

    def _mark(self, ids: Sequence[int]) -> None:
        with self._database.session() as session:
            values = {"sent_at": now(session), "content": None}
            session.execute(sa.update(CentreAlert).where(CentreAlert.id.in_(ids)).values(**values))


def _sequence(session: Session) -> AlertSequence:
    found = session.scalar(sa.select(AlertSequence).with_for_update())
    if found is None:
        found = AlertSequence(epoch=f"alerts{secrets.token_hex(4)}", last=0)
        session.add(found)
    return found


def _messages(waiting: Sequence[tuple[int, dict[str, object]]]) -> Iterator[tuple[list[int], pa.Table]]:
    """The rows in pieces that a bus takes, in order; a piece has at least one row."""
    ids: list[int] = []
    rows: list[dict[str, object]] = []
    size = 0
    for alert_id, row in waiting:
        length = len(str(row["raw"]).encode())
        if rows and size + length > _BYTES_A_MESSAGE:
            yield ids, pa.Table.from_pylist(rows, schema=DETECTIONS.schema)
            ids, rows, size = [], [], 0
        ids.append(alert_id)
        rows.append(row)
        size += length
    yield ids, pa.Table.from_pylist(rows, schema=DETECTIONS.schema)
