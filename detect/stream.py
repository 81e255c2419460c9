"""Detection on the stream: batches of `events` in, detections out, on the same partition and in the same order.

What counts for a correlation goes to the topic `matches` (`detect.correlation.dispatch`). A rule that only serves correlations without
`generate` gives no detections of its own (Sigma specification, correlations).
"""

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
from detect.correlation.dispatch import Dispatcher
from detect.correlation.resolve import resolve
from detect.evaluations import Evaluations
from detect.indicators.findings import Finder, merged
from detect.rules import Rule, RuleBook
from detect.ruleset import SETTINGS, Matches, Plan, compile_rules
from detect.tuning import Tunings

_SAID: Final = {"kind": "rule", "origin": "stream", "details": ""}
_log = structlog.get_logger()


class Prepared:
    """The rules and correlations of a book, compiled with `session` and ready to run. For one thread at a time."""

    def __init__(self, book: RuleBook, session: Session, engine: Engine) -> None:
        resolved = self.resolved = resolve(book)
        self.plan: Plan = compile_rules(book.rules, session, (*book.set_aside, *resolved.set_aside))
        self.correlations = resolved.correlations
        self.dispatcher = Dispatcher(resolved, self.plan, engine)
        self.loud = np.array([compiled.rule.hash not in resolved.silent for compiled in self.plan.rules], np.bool_)

    def announce(self) -> None:
        """Say in the log what is set aside, and count."""
        for error in self.plan.set_aside:
            _log.warning("detect.rule_set_aside", file=error.file, line=error.line, reason=error.reason)
        self.count()

    def count(self) -> None:
        metrics.RULES_LOADED.labels("active").set(len(self.plan.active) + len(self.correlations))
        metrics.RULES_LOADED.labels("set_aside").set(len(self.plan.set_aside))

    def close(self) -> None:
        """End what runs for it."""
        self.dispatcher.close()


class Detector:
    """Runs a rule set on batches of events. For one thread at a time, and blocking: the engine works outside the GIL.

    `threads` is how many threads of the engine one batch may take; `indicators` are looked for beside the rules. StoreError when the engine
    fails. `tunings` may be set by any thread.
    """

    def __init__(self, engine: Engine, book: RuleBook, clock: Clock, *, threads: int = 1, indicators: Finder | None = None) -> None:
        self._session: Session = engine.session({**SETTINGS, "max_threads": threads})
        self._clock = clock
        self._indicators = indicators
        self._next: Prepared | None = None
        self.tunings = Tunings()
        self._use(Prepared(book, self._session, engine))
        self._prepared.announce()

    def replace(self, prepared: Prepared) -> None:
        """Run `prepared`, which nobody else runs, from the next batch on. For any thread."""
        self._next = prepared
        prepared.announce()

    def _use(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._plan = prepared.plan
        self._rule_columns = _rule_columns(prepared.plan)
        self._rule_ids = [compiled.rule.id for compiled in prepared.plan.rules]

    @property
    def plan(self) -> Plan:
        """The compiled rules, and those set aside with their reasons."""
        return self._plan

    @property
    def prepared(self) -> Prepared:
        """What runs."""
        return self._prepared

    def detect(self, events: pa.Table) -> pa.Table:
        """The detections in `events` (columns of `EVENTS`), in the order of the events; columns of `DETECTIONS`."""
        return self.detect_each([events])[0]

    def detect_each(self, batches: Sequence[pa.Table]) -> list[pa.Table]:
        """The detections of each batch; the batches are evaluated together."""
        return self.evaluate(batches)[0]

    def evaluate(self, batches: Sequence[pa.Table], shards: int = 1) -> tuple[list[pa.Table], list[Message]]:
        """The detections of each batch, and the messages of all of them to the `shards` partitions of the topic `matches`."""
        if (prepared := self._next) is not None:
            self._next = None
            self._prepared.close()
            self._use(prepared)
        events = pa.concat_tables(batches)
        known = len(self._plan.set_aside)
        matches = self._allowed(self._plan.run(self._session, events), events)
        if len(self._plan.set_aside) != known:
            self._prepared.count()
        metrics.EVENTS_EVALUATED.inc(events.num_rows)
        ends = np.cumsum([batch.num_rows for batch in batches])
        messages = self._prepared.dispatcher.messages(events, matches, ends.tolist(), shards, self.tunings)
        loud = self._prepared.loud[matches.rules]
        told = Matches(matches.rules[loud], matches.rows[loud])
        self._count_matches(told)
        rows, found = told.rows, self._detections(events, told)
        if self._indicators is not None:
            rows, found = merged(rows, found, *self._indicators.find(events))
        cuts = np.searchsorted(rows, ends)
        return [found.slice(start, end - start) for start, end in zip([0, *cuts[:-1]], cuts, strict=True)], messages

    def _allowed(self, matches: Matches, events: pa.Table) -> Matches:
        """Without those of rules that are off at the agency."""
        counts = self.tunings.allowed(self._rule_ids, matches.rules, events["agency"].take(pa.array(matches.rows)))
        if counts.all():
            return matches
        for index, count in zip(*np.unique(matches.rules[~counts], return_counts=True), strict=True):
            metrics.DETECTIONS_OFF.labels(self._rule_ids[index]).inc(int(count))
        return Matches(matches.rules[counts], matches.rows[counts])

    def _detections(self, events: pa.Table, matches: Matches) -> pa.Table:
        rows = events.take(pa.array(matches.rows))
        position = [pc.cast(rows.column(name), pa.string()) for name in ("raw_epoch", "raw_partition", "raw_offset", "raw_line")]
        columns = {name: values.take(pa.array(matches.rules)) for name, values in self._rule_columns.items()}
        columns["rule_level"] = self.tunings.levels(self._rule_ids, matches.rules, rows.column("agency"), columns["rule_level"])
        event_id = pc.binary_join_element_wise(*position, "-")
        columns["detection_id"] = pc.binary_join_element_wise(columns["rule_id"], event_id, ":")
        columns |= {name: pa.repeat(pa.scalar(word), len(matches.rows)) for name, word in _SAID.items()}
        columns["detected_at"] = pa.array(np.full(len(matches.rows), millis(self._clock.now())), pa.timestamp("ms", "UTC"))
        ordered = [columns[name] if name in columns else rows.column(name) for name in DETECTIONS.names]
        return pa.table(ordered, schema=DETECTIONS.schema)

    def _count_matches(self, matches: Matches) -> None:
        for index, count in zip(*np.unique(matches.rules, return_counts=True), strict=True):
            metrics.DETECTIONS.labels(self._plan.rules[index].rule.id).inc(int(count))

    def close(self) -> None:
        """Give the sessions back."""
        self._prepared.close()
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
    So do the readers of `matches`, whose messages may be cut otherwise the second time.
    """

    def __init__(self, bus: Bus, detector: Detector) -> None:
        self._bus = bus
        self._detector = detector
        self._evaluations = Evaluations(bus)
        self._shards = 0

    async def handle(self, records: Sequence[Record], generation: int) -> None:  # noqa: ARG002 - nothing is kept between batches
        """Detect in `records` and produce; on return the detections and matches are durable. BusError and StoreError when that failed."""
        decoded = [(record, batch) for record in records if (batch := _events_of(record)) is not None]
        if not decoded:
            return
        prepared = self._detector.prepared
        await self._evaluations.tell_rules(prepared.plan, prepared.resolved, decoded[0][0].partition)
        self._shards = self._shards or len(await self._bus.end_offsets(topics.MATCHES))
        found, matches = await asyncio.to_thread(self._detector.evaluate, [batch for _, batch in decoded], self._shards)
        messages = [
            Message(arrow.encode(detections), partition=record.partition)
            for (record, _), detections in zip(decoded, found, strict=True)
            if detections.num_rows
        ]
        if messages:
            await self._bus.produce(topics.DETECTIONS, messages)
        if matches:
            await self._bus.produce(topics.MATCHES, matches)
        prepared = self._detector.prepared  # new rules may have come with the batch
        await self._evaluations.tell(prepared.plan, prepared.resolved, decoded)


def _events_of(record: Record) -> pa.Table | None:
    """A message that holds no events would fail for ever and hold back all behind it: it is logged with its position and passed over."""
    try:
        return in_shape(EVENTS, arrow.decode(record.value))
    except (BadMessage, StoreError) as error:
        _log.error("detect.bad_message", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))
        return None
