"""Detections on the stream: through the real engine and the real embedded bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prometheus_client import REGISTRY

from core import arrow, topics
from core.bus.contract import Message, Record
from core.bus.embedded import EmbeddedBus
from core.clock import FixedClock
from core.engine import Engine
from core.events import DETECTIONS, EVENTS
from core.stage import Stage
from detect import rules
from detect.stream import Detector, DetectStage
from tests.event_rows import packed, table

NOW = datetime(2026, 5, 4, 1, 12, tzinfo=UTC)
SCAN = "00000000-0000-4000-8000-000000000001"
TELNET = "00000000-0000-4000-8000-000000000002"
RULES = f"""title: Scanner
id: {SCAN}
level: low
tags: [attack.reconnaissance, attack.t1595]
logsource: {{category: web}}
detection: {{s: {{user_agent|contains: sqlmap}}, condition: s}}
---
title: Telnet
id: {TELNET}
logsource: {{category: firewall}}
detection: {{s: {{dst_port: 23}}, condition: s}}
---
title: Not ours
id: 00000000-0000-4000-8000-000000000003
logsource: {{product: windows}}
detection: {{s: {{Image: x}}, condition: s}}
"""


@pytest.fixture(scope="module")
def detector() -> Iterator[Detector]:
    engine = Engine()
    detector = Detector(engine, rules.parse(RULES, "r.yml"), FixedClock(NOW))
    yield detector
    detector.close()
    engine.close()


def event(offset: int, line: int, **columns: Any) -> dict[str, Any]:
    place = {"raw_epoch": "e1", "raw_partition": 1, "raw_offset": offset, "raw_line": line, "agency": "gu", "raw": "a line"}
    return {"log_class": "web"} | place | columns


def test_a_detection_is_the_event_with_its_rule(detector: Detector) -> None:
    events = table(
        [
            event(7, 0, user_agent="Mozilla"),
            event(7, 1, user_agent="SQLMap/1.8", src_ip="203.0.113.9", rule_id="policy-9", event_time=1_777_000_000_000),
            event(8, 0, log_class="firewall", dst_port=23, user_agent="sqlmap"),
        ]
    )
    found = detector.detect(events)
    assert found.schema.equals(DETECTIONS.schema)
    first, second = found.to_pylist()
    assert first["detection_id"] == f"{SCAN}:e1-1-7-1"
    assert second["detection_id"] == f"{TELNET}:e1-1-8-0"
    assert (first["rule_id"], first["rule_title"], first["rule_level"]) == (SCAN, "Scanner", "low")
    assert first["rule_tags"] == "attack.reconnaissance,attack.t1595"
    assert second["rule_level"] == "medium"
    assert len(first["rule_hash"]) == 16
    assert first["detected_at"] == NOW
    assert first["src_ip"] == packed("203.0.113.9")
    shared = [name for name in DETECTIONS.names if name in EVENTS.names and name != "rule_id"]
    assert {name: first[name] for name in shared} == {name: events.slice(1, 1).to_pylist()[0][name] for name in shared}


def test_nothing_found_is_an_empty_table_of_the_same_shape(detector: Detector) -> None:
    for events in (table([event(1, 0)]), arrow.empty(EVENTS.schema)):
        found = detector.detect(events)
        assert found.num_rows == 0
        assert found.schema.equals(DETECTIONS.schema)


def test_batches_together_give_what_each_gives_alone(detector: Detector) -> None:
    batches = [table([event(n, line, user_agent="sqlmap" if line % (n + 1) else "x") for line in range(n + 2)]) for n in range(4)] + [
        arrow.empty(EVENTS.schema),
        table([event(9, 0, user_agent="sqlmap")]),
    ]
    together = detector.detect_each(batches)
    assert [t.column("detection_id").to_pylist() for t in together] == [
        detector.detect(batch).column("detection_id").to_pylist() for batch in batches
    ]
    assert [t.num_rows for t in together] == [0, 1, 2, 3, 0, 1]


def test_counts_are_kept(detector: Detector) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    before = value("bongsu_evaluated_events_total"), value("bongsu_detections_total", rule=SCAN)
    detector.detect(table([event(1, 0, user_agent="sqlmap"), event(1, 1)]))
    assert value("bongsu_evaluated_events_total") == before[0] + 2
    assert value("bongsu_detections_total", rule=SCAN) == before[1] + 1
    assert (value("bongsu_rules", state="active"), value("bongsu_rules", state="set_aside")) == (2, 1)


def record(partition: int, offset: int, value: bytes) -> Record:
    return Record(topics.EVENTS, partition, offset, value, {}, NOW)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[EmbeddedBus]:
    bus = EmbeddedBus(tmp_path / "bus.db", partitions=3, max_backlog_bytes=1 << 30, min_free_disk_bytes=0, clock=FixedClock(NOW))
    await bus.start()
    yield bus
    await bus.close()


async def read(bus: EmbeddedBus, wanted: int) -> list[tuple[int, list[int]]]:
    """The first `wanted` messages of detections: partition and raw offsets."""
    reader = await bus.consumer("test", [topics.DETECTIONS])
    found: list[tuple[int, list[int]]] = []
    async with asyncio.timeout(20):
        while len(found) < wanted:
            got = await reader.poll(max_messages=100, max_bytes=1 << 20, timeout=0.5)
            found += [(one.partition, arrow.decode(one.value).column("raw_offset").to_pylist()) for one in got]
    await reader.close()
    return found


async def test_one_message_for_each_that_has_matches_on_its_partition(detector: Detector, bus: EmbeddedBus) -> None:
    records = [
        record(1, 0, arrow.encode(table([event(1, 0, user_agent="sqlmap"), event(1, 1, user_agent="sqlmap")]))),
        record(0, 5, arrow.encode(table([event(2, 0)]))),
        record(0, 6, b"no arrow at all"),
        record(0, 7, arrow.encode(pa.table({"x": [1]}))),
        record(2, 8, arrow.encode(table([event(3, 0, user_agent="sqlmap")]))),
        record(1, 1, arrow.encode(table([event(4, 0, user_agent="sqlmap")]))),
    ]
    stage = DetectStage(bus, detector)
    await stage.handle(records, 1)
    await stage.handle(records[1:4], 1)
    assert sum((await bus.end_offsets(topics.DETECTIONS)).values()) == 3
    assert sorted(await read(bus, 3)) == [(1, [1, 1]), (1, [4]), (2, [3])]


async def test_from_the_topic_of_events_to_the_topic_of_detections(detector: Detector, bus: EmbeddedBus) -> None:
    batches = [table([event(n, 0, user_agent="sqlmap" if n % 2 else "x")]) for n in range(20)]
    await bus.produce(topics.EVENTS, [Message(arrow.encode(batch), partition=1) for batch in batches])
    stage = Stage("detect", bus, [topics.EVENTS], DetectStage(bus, detector).handle, max_messages=3)
    running = asyncio.create_task(stage.run())
    assert await read(bus, 10) == [(1, [n]) for n in range(1, 20, 2)]
    stage.stop()
    await running
    assert stage.problem == ""
