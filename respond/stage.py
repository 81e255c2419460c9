"""The stage that turns findings into incidents: a handler for `core.stage.Stage` on the topic `detections`.

One call is one transaction: the incidents, their evidence and entities, the audit rows, and how far the partitions were read. So a
batch that comes again changes nothing, and a process killed at any moment leaves all of a batch or none of it. Findings from sources of
no known agency open incidents too, of the agency `_unknown`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pyarrow as pa
import structlog
from sqlalchemy.orm import Session

from core import arrow, metrics
from core.bus.contract import Record
from core.clock import Clock
from core.config import Settings
from core.database import Database, exclusive
from core.errors import BadMessage
from core.events import DETECTIONS
from respond import evidence, grouping, joining
from respond.audit import record_all
from respond.positions import Positions

_MINUTE_MS = 60_000
_log = structlog.get_logger()


class RespondStage:
    """`handle` is the handler; `clock` says when incidents are opened."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._window_ms = settings.respond.group_window_minutes * _MINUTE_MS
        self._evidence = settings.respond.evidence_per_incident
        self._clock = clock

    async def handle(self, records: Sequence[Record], generation: int) -> None:  # noqa: ARG002 - nothing is remembered between calls
        """Make incidents of the findings in `records`; durable on return. StoreUnavailable when the database does not answer."""
        await asyncio.to_thread(self._handle, records)

    def _handle(self, records: Sequence[Record]) -> None:
        messages = [findings for record in records if (findings := _findings(record)) is not None and findings.num_rows]
        if not messages:
            return
        with self._database.session() as session:
            joined = self._apply(session, messages)
        for incident in joined.opened:
            metrics.INCIDENTS_OPENED.labels(incident.severity).inc()
            _log.info("incident.opened", incident=incident.number, agency=incident.agency, severity=incident.severity)

    def _apply(self, session: Session, messages: Sequence[pa.Table]) -> joining.Joined:
        exclusive(session, "incidents")
        positions = Positions.load(session, messages)
        fresh = pa.concat_tables([positions.fresh(message) for message in messages])
        positions.save(session)
        if not fresh.num_rows:
            return joining.Joined()
        fresh = fresh.sort_by([(name, "ascending") for name in ("raw_partition", "raw_offset", "raw_line")])
        found = grouping.cluster(fresh, self._window_ms)
        joined = joining.join(session, found.clusters, self._window_ms, self._clock.now())
        of_row = joined.of_cluster[found.of_row]
        evidence.keep_evidence(session, fresh, joined.incidents, of_row, self._evidence)
        evidence.count_entities(session, fresh, joined.incidents, of_row)
        record_all(session, joined.changes)
        return joined


def _findings(record: Record) -> pa.Table | None:
    """The findings of a message with their entity; None when it cannot be read, which is logged and counted."""
    try:
        return grouping.with_entity(_checked(arrow.decode(record.value)))
    except BadMessage as error:
        metrics.MESSAGES_SKIPPED.labels("respond").inc()
        where = f"{record.topic}/{record.partition}/{record.offset}"
        _log.error("respond.message_skipped", message=where, error=str(error))
        return None


def _checked(table: pa.Table) -> pa.Table:
    """The columns of DETECTIONS; BadMessage when one is missing, of another type, or holds what it must not."""
    try:
        found = table.select(list(DETECTIONS.names)).cast(DETECTIONS.schema)
        found.validate(full=True)
    except (KeyError, pa.ArrowException) as error:
        raise BadMessage(f"a message does not hold detections: {error}") from error
    if empty := [column.name for column in DETECTIONS.columns if not column.nullable and found[column.name].null_count]:
        raise BadMessage(f"a message holds detections without {', '.join(empty)}")
    return found
