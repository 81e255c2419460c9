"""The stage that turns findings into incidents: a handler for `core.stage.Stage` on the topic `detections`.

Messages are handled whole, in one transaction each or several together: the incidents, their evidence and entities, the audit rows, and
how far the partitions were read. So a batch that comes again changes nothing, and a process killed at any moment leaves all of a message
or none of it. Findings from sources of no known agency open incidents too, of the agency `_unknown`; what a hunt found in
history opens none: that is for who asked to decide. What a silence holds opens and joins none (`respond.silences`), and of what a rule
suppresses the line is not kept (`respond.suppression`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import structlog
from sqlalchemy.orm import Session

from core import arrow, metrics
from core.bus.contract import Record
from core.clock import Clock
from core.config import Settings
from core.database import Database, exclusive
from core.errors import BadMessage, StoreError
from core.events import DETECTIONS
from core.storage.tables import in_shape
from respond import evidence, grouping, joining, silences, suppression
from respond.audit import record_all
from respond.incidents import severity
from respond.positions import Positions

_MINUTE_MS = 60_000
_ROWS_A_TRANSACTION = 20_000
_NEEDED = frozenset(("detection_id", "rule_id", "agency", "raw"))  # columns that a version adds may be missing, these may not
_HUNT = "hunt"
_EARLIEST = pa.scalar(datetime(1900, 1, 1, tzinfo=UTC), pa.timestamp("ms", "UTC"))  # what a DateTime64 of ClickHouse can hold
_LATEST = pa.scalar(datetime(2300, 1, 1, tzinfo=UTC), pa.timestamp("ms", "UTC"))
_log = structlog.get_logger()


class RespondStage:
    """`handle` is the handler; `clock` says when incidents are opened."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._window_ms = settings.respond.group_window_minutes * _MINUTE_MS
        self._evidence = settings.respond.evidence_per_incident
        self._matrix = severity.load(settings.respond.incidents.severity_matrix)
        self._clock = clock

    async def handle(self, records: Sequence[Record], generation: int) -> None:  # noqa: ARG002 - nothing is remembered between calls
        """Make incidents of the findings in `records`; durable on return. StoreUnavailable when the database does not answer."""
        await asyncio.to_thread(self._handle, records)

    def _handle(self, records: Sequence[Record]) -> None:
        for messages in _parts(records):
            with self._database.session() as session:
                joined = self._apply(session, messages)
            for incident in (one for one in joined.opened if not one.exercise):
                metrics.INCIDENTS_OPENED.labels(incident.severity).inc()
            if joined.opened:
                _log.info("incidents.opened", first=joined.opened[0].number, count=len(joined.opened))

    def _apply(self, session: Session, messages: Sequence[pa.Table]) -> joining.Joined:
        exclusive(session, "incidents")
        positions = Positions.load(session, messages)
        fresh = pa.concat_tables([positions.fresh(message) for message in messages])
        positions.save(session)
        at = self._clock.now()
        fresh = silences.hold_back(session, fresh, at)
        if not fresh.num_rows:
            return joining.Joined()
        fresh = _each_once(fresh.sort_by([(name, "ascending") for name in ("raw_partition", "raw_offset", "raw_line")]))
        held = suppression.hold(session, grouping.with_entity(self._matrix.rated(fresh)))
        found = grouping.cluster(held.findings, self._window_ms, held.since)
        joined = joining.join(session, found.clusters, self._window_ms, at)
        of_row = joined.of_cluster[found.of_row]
        shown = ~held.held
        evidence.keep_evidence(session, held.findings.filter(pa.array(shown)), joined.incidents, of_row[shown], self._evidence)
        evidence.count_entities(session, held.findings, joined.incidents, of_row)
        held.save(session, joined.incidents, of_row, at)
        record_all(session, joined.changes)
        return joined


def _each_once(findings: pa.Table) -> pa.Table:
    """Without the findings that come again under the same id, as when two rules share one: the first stays."""
    if pc.count_distinct(findings["detection_id"]).as_py() == findings.num_rows:
        return findings
    places = findings.select(["detection_id"]).append_column("place", pa.array(range(findings.num_rows)))
    first = places.group_by("detection_id", use_threads=False).aggregate([("place", "min")])
    return findings.take(first["place_min"])


def _parts(records: Sequence[Record]) -> Iterator[list[pa.Table]]:
    """The findings of whole messages, in parts that make a transaction of bearable length."""
    part: list[pa.Table] = []
    for record in records:
        findings = _findings(record)
        if findings is None or not findings.num_rows:
            continue
        part.append(findings)
        if sum(known.num_rows for known in part) >= _ROWS_A_TRANSACTION:
            yield part
            part = []
    if part:
        yield part


def _findings(record: Record) -> pa.Table | None:
    """The findings of a message; None when it cannot be read, which is logged and counted."""
    try:
        found = _checked(arrow.decode(record.value))
        return found.filter(pc.not_equal(found["origin"], _HUNT))
    except BadMessage as error:
        metrics.MESSAGES_SKIPPED.labels("respond").inc()
        where = f"{record.topic}/{record.partition}/{record.offset}"
        _log.error("respond.message_skipped", message=where, error=str(error))
        return None


def _checked(table: pa.Table) -> pa.Table:
    """The columns of DETECTIONS; BadMessage when one is missing, of another type, or holds what it must not."""
    if missing := _NEEDED - set(table.column_names):
        raise BadMessage(f"a message holds detections without {', '.join(sorted(missing))}")
    try:
        found = in_shape(DETECTIONS, table)
        found.validate(full=True)
    except (pa.ArrowException, StoreError) as error:
        raise BadMessage(f"a message does not hold detections: {error}") from error
    if empty := [column.name for column in DETECTIONS.columns if not column.nullable and found[column.name].null_count]:
        raise BadMessage(f"a message holds detections without {', '.join(empty)}")
    for name in ("event_time", "received_at", "detected_at"):
        if pc.any(pc.or_(pc.less(found[name], _EARLIEST), pc.greater_equal(found[name], _LATEST))).as_py():
            raise BadMessage(f"a message holds a detection whose {name} is out of all reason")
    return found
