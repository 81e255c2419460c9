"""What tests of correlations share: rules and events written short, and the parts of a centre that detect and correlate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from core import arrow, topics
from core.bus.contract import Consumer, Record
from core.bus.embedded import EmbeddedBus
from core.clock import SystemClock
from core.engine import Engine
from core.events import DETECTIONS, EVENTS
from core.storage.contract import Store
from core.storage.embedded import EmbeddedStore
from core.storage.writer import TableWriter
from detect import rules
from detect.correlation.stage import CorrelateStage
from detect.rules import RuleBook
from detect.stream import Detector, DetectStage
from tests.event_rows import table

NOW = datetime.now(UTC).replace(microsecond=0)
"""Matches are kept for a time by our own clock, so these events are of today."""
START = NOW.replace(minute=0, second=0) - timedelta(hours=2)


def rule_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def base(number: int, name: str, port: int) -> str:
    return (
        f"title: Port {port}\nid: {rule_id(number)}\nname: {name}\nlogsource: {{category: firewall}}\n"
        f"detection: {{s: {{dst_port: {port}}}, condition: s}}\n"
    )


def correlation(number: int, title: str, text: str, name: str = "", more: str = "") -> str:
    named = f"name: {name}\n" if name else ""
    return f"title: {title}\nid: {rule_id(number)}\n{named}level: high\n{more}correlation: {{{text}}}\n"


def book(*documents: str) -> RuleBook:
    parsed = rules.parse("---\n".join(documents), "r.yml")
    assert not parsed.set_aside
    return parsed


BASES = (base(1, "a", 22), base(2, "b", 23))
COUNT = correlation(11, "Many", "type: event_count, rules: [a], group-by: [src_ip], timespan: 1m, condition: {gte: 3}", "many")


def event(number: int, at: float, port: int = 22, src: str = "192.0.2.1", agency: str = "gu", **more: Any) -> dict[str, Any]:
    """The event of raw offset `number`, `at` seconds after START, received when it happened."""
    time = START + timedelta(seconds=at)
    own = {"log_class": "firewall", "dst_port": port, "src_ip": src, "agency": agency, "raw": f"line {number}", "source": "fw1"}
    return {"raw_epoch": "e1", "raw_offset": number, "event_time": time, "received_at": time, **own, **more}


@dataclass
class Centre:
    """The parts of a centre that detect, and what they found."""

    bus: EmbeddedBus
    store: Store
    engine: Engine
    matches: Consumer
    found: Consumer
    generation: int = 0

    def stage(self, book: RuleBook, lateness: timedelta = timedelta(hours=24), store: Any = None) -> CorrelateStage:
        return CorrelateStage(self.bus, store or self.store, book, SystemClock(), lateness)

    async def detect(self, book: RuleBook, batches: Sequence[Sequence[dict[str, Any]]], *, stored: bool = True) -> None:
        """Store `batches` of events, and run the detector over them, a message and a batch each."""
        detector = Detector(self.engine, book, SystemClock())
        stage, writer = DetectStage(self.bus, detector), TableWriter(self.store, EVENTS)
        records = [Record(topics.EVENTS, 0, n, arrow.encode(table(batch)), {}, NOW) for n, batch in enumerate(batches)]
        try:
            for number, record in enumerate(records):
                if stored:
                    await writer.handle([record], 0)
                await stage.handle([record], number)
        finally:
            detector.close()

    async def waiting(self) -> Sequence[Record]:
        """The messages on `matches` that were not given out yet."""
        return await self.matches.poll(max_messages=1000, max_bytes=1 << 28, timeout=0.0)

    async def correlate(self, stage: CorrelateStage, at_once: int = 1000) -> None:
        """Hand `stage` what waits, and what it gives itself, some messages at a time."""
        self.generation += 1
        while records := await self.waiting():
            for start in range(0, len(records), at_once):
                await stage.handle(records[start : start + at_once], self.generation)

    async def detections(self) -> pa.Table:
        """What was told and not read here yet, as a reader keeps it that drops what comes again."""
        highest: dict[tuple[str, int], int] = {}
        kept = [DETECTIONS.schema.empty_table()]
        while records := await self.found.poll(max_messages=1000, max_bytes=1 << 28, timeout=0.0):
            for record in records:
                rows = arrow.decode(record.value)
                places = [(row["raw_epoch"], row["raw_partition"]) for row in rows.to_pylist()]
                fresh = [row["raw_offset"] > highest.get(place, -1) for place, row in zip(places, rows.to_pylist(), strict=True)]
                for place, row in zip(places, rows.to_pylist(), strict=True):
                    highest[place] = max(highest.get(place, -1), row["raw_offset"])
                kept.append(rows.filter(pa.array(fresh)))
        return pa.concat_tables(kept)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Centre]:
    """A centre that keeps its things in `folder`."""
    bus = EmbeddedBus(folder / "bus.db", partitions=3, max_backlog_bytes=1 << 30, min_free_disk_bytes=0, clock=SystemClock())
    await bus.start()
    engine = Engine(folder / "store")
    store = EmbeddedStore(engine)
    await store.start()
    await store.migrate()
    try:
        matches, found = await bus.consumer("correlate", [topics.MATCHES]), await bus.consumer("reader", [topics.DETECTIONS])
        yield Centre(bus, store, engine, matches, found)
    finally:
        await bus.close()
        await store.close()
        engine.close()
