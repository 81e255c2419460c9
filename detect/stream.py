"""Detection on the stream: batches of `events` in, detections out, on the same partition and in the same order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from core import arrow, metrics, topics
from core.bus.contract import Bus, Message, Record
from core.clock import Clock, millis
from core.engine import Engine, Session
from core.errors import BadMessage, StoreError
from core.events import DETECTIONS, EVENTS
from core.storage.tables import in_shape
from detect.rules import Rule, RuleBook
from detect.ruleset import SETTINGS, Matches, Plan, compile_rules

_SAID: Final = {"kind": "rule", "origin": "stream", "details": ""}
_log = structlog.get_logger()


class Detector:
    """Runs a rule set on batches of events. For one thread at a time, and blocking: the engine works outside the GIL.

    `threads` is how many threads of the engine one batch may take. StoreError when the engine fails.
    """

    def __init__(self, engine: Engine, book: RuleBook, clock: Clock, *, threads: int = 1) -> None:
        self._session: Session = engine.session({**SETTINGS, "max_threads": threads})
        self._clock = clock
        self._plan: Plan = compile_rules(book.rules, self._session, book.set_aside)
        self._rule_columns = _rule_columns(self._plan)
        for error in self._plan.set_aside:
            _log.warning("detect.rule_set_aside", file=error.file, line=error.line, reason=error.reason)
        self._count_rules()

    @property
    def plan(self) -> Plan:
        """The compiled rules, and those set aside with their reasons."""
        return self._plan

    def detect(self, events: pa.Table) -> pa.Table:
        """The detections in `events` (columns of `EVENTS`), in the order of the events; columns of `DETECTIONS`."""
        return self.detect_each([events])[0]

    def detect_each(self, batches: Sequence[pa.Table]) -> list[pa.Table]:
        """The detections of each batch; the batches are evaluated together."""
        events = pa.concat_tables(batches)
        known = len(self._plan.set_aside)
        matches = self._plan.run(self._session, events)
        if len(self._plan.set_aside) != known:
            self._count_rules()
        metrics.EVENTS_EVALUATED.inc(events.num_rows)
        self._count_matches(matches)
        found = self._detections(events, matches)
        ends = np.searchsorted(matches.rows, np.cumsum([batch.num_rows for batch in batches]))
        return [found.slice(start, end - start) for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def _detections(self, events: pa.Table, matches: Matches) -> pa.Table:
        rows = events.take(pa.array(matches.rows))
        position = [pc.cast(rows.column(name), pa.string()) for name in ("raw_epoch", "raw_partition", "raw_offset", "raw_line")]
        columns = {name: values.take(pa.array(matches.rules)) for name, values in self._rule_columns.items()}
        event_id = pc.binary_join_element_wise(*position, "-")
        columns["detection_id"] = pc.binary_join_element_wise(columns["rule_id"], event_id, ":")
        columns |= {name: pa.repeat(pa.scalar(word), len(matches.rows)) for name, word in _SAID.items()}
        columns["detected_at"] = pa.array(np.full(len(matches.rows), millis(self._clock.now())), pa.timestamp("ms", "UTC"))
        ordered = [columns[name] if name in columns else rows.column(name) for name in DETECTIONS.names]
        return pa.table(ordered, schema=DETECTIONS.schema)

    def _count_rules(self) -> None:
        metrics.RULES_LOADED.labels("active").set(len(self._plan.active))
        metrics.RULES_LOADED.labels("set_aside").set(len(self._plan.set_aside))

    def _count_matches(self, matches: Matches) -> None:
        for index, count in zip(*np.unique(matches.rules, return_counts=True), strict=True):
            metrics.DETECTIONS.labels(self._plan.rules[index].rule.id).inc(int(count))

    def close(self) -> None:
        """Give the session back."""
        self._session.close()


def _rule_columns(plan: Plan) -> dict[str, pa.Array]:
    rules: list[Rule] = [compiled.rule for compiled in plan.rules]
    values = {
        "rule_id": [rule.id for rule in rules],
        "rule_title": [rule.title for rule in rules],
        "rule_level": [rule.level for rule in rules],
        "rule_hash": [rule.hash for rule in rules],
        "rule_tags": [",".join(rule.tags) for rule in rules],
    }
    return {name: pa.array(column, pa.string()) for name, column in values.items()}


class DetectStage:
    """The handler of the detect stage (`core.stage.Stage` on the topic `events`).

    Each message with matches gives one message of all its detections on the same partition; so all rows of a raw offset stay together
    and raw offsets do not go back. A repeated batch gives the same detections again: their ids are the same, and readers drop them.
    """

    def __init__(self, bus: Bus, detector: Detector) -> None:
        self._bus = bus
        self._detector = detector

    async def handle(self, records: Sequence[Record], generation: int) -> None:  # noqa: ARG002 - nothing is kept between batches
        """Detect in `records` and produce; on return the detections are durable. BusError and StoreError when that failed."""
        decoded = [(record, batch) for record in records if (batch := _events_of(record)) is not None]
        if not decoded:
            return
        found = await asyncio.to_thread(self._detector.detect_each, [batch for _, batch in decoded])
        messages = [
            Message(arrow.encode(detections), partition=record.partition)
            for (record, _), detections in zip(decoded, found, strict=True)
            if detections.num_rows
        ]
        if messages:
            await self._bus.produce(topics.DETECTIONS, messages)


def _events_of(record: Record) -> pa.Table | None:
    """A message that holds no events would fail for ever and hold back all behind it: it is logged with its position and passed over."""
    try:
        return in_shape(EVENTS, arrow.decode(record.value))
    except (BadMessage, StoreError) as error:
        _log.error("detect.bad_message", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))
        return None
