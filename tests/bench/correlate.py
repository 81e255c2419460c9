"""Memory and speed of correlations over very many keys, and over one: `python -m tests.bench.correlate [--keys N] [--one N] [--json]`.

All goes through the real detect stage, bus, store and correlate stage (the embedded ones, in this process).

- keys: one event for each of N source addresses, and three for one in a thousand of them. An event_count and a value_count of three in an
  hour look at every address, so that each event is two matches.
- one: N events of one address, which an event_count of N and a value_sum complete at the end and a value_count of 60,000 ports before, so
  that the key is judged with every batch.

Told after each tenth: matches so far, resident memory, and matches a CPU second of the correlate stage. Ends with 1 when what fired is not
what had to.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core import arrow, topics
from core.bus.contract import Consumer, Record
from core.bus.embedded import EmbeddedBus
from core.clock import SystemClock, millis
from core.engine import Engine
from core.events import EVENTS
from core.storage.embedded import EmbeddedStore
from core.storage.writer import TableWriter
from detect import rules
from detect.correlation.stage import CorrelateStage
from detect.stream import Detector, DetectStage

Ints = npt.NDArray[np.int64]

A_BATCH: Final = 10_000
MANY, PORTS, COUNT, VALUES, SUM = (f"00000000-0000-4000-8000-{number:012d}" for number in range(11, 16))
DENIED: Final = f"""title: Denied
id: 00000000-0000-4000-8000-000000000001
name: denied
logsource: {{category: firewall}}
detection: {{s: {{disposition: deny}}, condition: s}}
---
title: Many
id: {MANY}
correlation: {{type: event_count, rules: [denied], group-by: [src_ip], timespan: 1h, condition: {{gte: 3}}}}
---
title: Ports
id: {PORTS}
correlation: {{type: value_count, rules: [denied], group-by: [src_ip], timespan: 1h, condition: {{field: dst_port, gte: 3}}}}
"""
ALLOWED: Final = """title: Allowed
id: 00000000-0000-4000-8000-000000000002
name: allowed
logsource: {category: firewall}
detection: {s: {disposition: allow}, condition: s}
"""


def of_one(events: int) -> str:
    """The rules about one address that `events` complete."""
    kinds = (
        (COUNT, f"type: event_count, condition: {{gte: {events}}}"),
        (VALUES, f"type: value_count, condition: {{field: dst_port, gte: {min(60_000, events)}}}"),
        (SUM, f"type: value_sum, condition: {{field: bytes, gte: {events * 10}}}"),
    )
    made = (
        f"title: {name}\nid: {name}\ncorrelation: {{rules: [allowed], group-by: [src_ip], timespan: 1h, {text}}}\n" for name, text in kinds
    )
    return "---\n".join([ALLOWED, *made])


def events(keys: Ints, ports: Ints, first: int, start: datetime, disposition: str) -> pa.Table:
    """An event for each of `keys`, of raw offset `first`, a thousand a second."""
    count = len(keys)
    address = np.zeros((count, 16), np.uint8)
    address[:, 10:12] = 255
    address[:, 12:] = (0x0A000000 + keys).astype(">u4").view(np.uint8).reshape(count, 4)
    at = pa.array(millis(start) + np.arange(first * A_BATCH, first * A_BATCH + count), pa.int64()).cast(pa.timestamp("ms", "UTC"))
    given: dict[str, Any] = {
        "raw_epoch": pa.repeat(disposition, count),
        "raw_offset": pa.array(np.full(count, first), pa.uint64()),
        "raw_line": pa.array(np.arange(count), pa.uint32()),
        "agency": pa.repeat("seogu", count),
        "log_class": pa.repeat("firewall", count),
        "disposition": pa.repeat(disposition, count),
        "raw": pa.repeat("a line", count),
        "src_ip": pa.Array.from_buffers(pa.binary(16), count, [None, pa.py_buffer(address.tobytes())]),
        "dst_port": pa.array(ports, pa.uint16()),
        "bytes": pa.array(np.full(count, 10), pa.uint64()),
        "event_time": at,
        "received_at": at,
    }
    columns = []
    for column in EVENTS.columns:
        blank = pa.scalar(None if column.nullable else "" if column.kind.is_text else 0, column.arrow.type)
        columns.append(given[column.name] if column.name in given else pa.repeat(blank, count))
    return pa.table(columns, schema=EVENTS.schema)


def resident() -> int:
    """Megabytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() >> 20


@dataclass
class Parts:
    """The parts of a centre that detect and correlate."""

    bus: EmbeddedBus
    store: EmbeddedStore
    engine: Engine
    matches: Consumer
    found: Consumer


@dataclass
class Counts:
    """Matches judged, the CPU seconds of that, and what fired."""

    matches: int = 0
    seconds: float = 0.0
    fired: Counter[str] = field(default_factory=Counter)


async def opened(folder: Path) -> Parts:
    bus = EmbeddedBus(folder / "bus.db", partitions=4, max_backlog_bytes=8 << 30, min_free_disk_bytes=0, clock=SystemClock())
    await bus.start()
    engine = Engine(folder / "store")
    store = EmbeddedStore(engine)
    await store.start()
    await store.migrate()
    matches, found = await bus.consumer("correlate", [topics.MATCHES]), await bus.consumer("reader", [topics.DETECTIONS])
    return Parts(bus, store, engine, matches, found)


async def correlated(parts: Parts, stage: CorrelateStage, counts: Counts) -> None:
    """Judge what waits, and count what fires."""
    while records := await parts.matches.poll(max_messages=256, max_bytes=16 << 20, timeout=0.0):
        began = time.process_time()
        await stage.handle(records, 1)
        counts.seconds += time.process_time() - began
        counts.matches += sum(arrow.decode(one.value).num_rows for one in records)
        await parts.matches.commit({(one.topic, one.partition): one.offset + 1 for one in records})
    while records := await parts.found.poll(max_messages=256, max_bytes=16 << 20, timeout=0.0):
        for one in records:
            counts.fired.update(arrow.decode(one.value)["rule_id"].to_pylist())
        await parts.found.commit({(one.topic, one.partition): one.offset + 1 for one in records})


async def run(parts: Parts, text: str, keys: Ints, ports: Ints, disposition: str, say: Callable[[dict[str, Any]], None]) -> Counts:
    """Send an event for each of `keys`, in batches."""
    book = rules.parse(text, "bench.yml", strict=False)
    detector = Detector(parts.engine, book, SystemClock())
    detect, writer = DetectStage(parts.bus, detector), TableWriter(parts.store, EVENTS)
    stage = CorrelateStage(parts.bus, parts.store, book, SystemClock(), timedelta(hours=24))
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    batches, reported, counts = -(-len(keys) // A_BATCH), 0, Counts()
    for number in range(batches):
        part = slice(number * A_BATCH, (number + 1) * A_BATCH)
        rows = events(keys[part], ports[part], number, start, disposition)
        record = Record(topics.EVENTS, 0, number, arrow.encode(rows), {}, start)
        await writer.handle([record], 1)
        await detect.handle([record], 1)
        await correlated(parts, stage, counts)
        if (number + 1) * 10 // batches > reported:
            reported = (number + 1) * 10 // batches
            speed = round(counts.matches / counts.seconds)
            say({"matches": counts.matches, "resident_mb": resident(), "matches_per_cpu_second": speed, "fired": counts.fired.total()})
    detector.close()
    return counts


async def bench(folder: Path, keys: int, one: int, say: Callable[[dict[str, Any]], None]) -> bool:
    parts = await opened(folder)
    again = np.arange(0, keys, 1000)
    try:
        say({"case": "many keys", "keys": keys})
        order = np.concatenate([np.arange(keys), again, again])
        ports = np.concatenate([np.full(keys, 1), np.full(len(again), 2), np.where(again % 2000 == 0, 3, 2)])
        many = await run(parts, DENIED, order, ports, "deny", say)
        say({"case": "one key", "events": one})
        noisy = await run(parts, of_one(one), np.zeros(one, np.int64), np.arange(one) % 65_536, "allow", say)
    finally:
        await parts.bus.close()
        await parts.store.close()
        parts.engine.close()
    right = many.fired == {MANY: len(again), PORTS: len(again[again % 2000 == 0])}
    return right and noisy.fired == {COUNT: 1, VALUES: 1, SUM: 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--one", type=int, default=600_000)
    parser.add_argument("--json", action="store_true", help="One JSON object a line")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bongsu-correlate-"))

    def say(result: dict[str, Any]) -> None:
        told = json.dumps(result) if options.json else ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result.items())
        sys.stdout.write(told + "\n")
        sys.stdout.flush()

    try:
        say({"resident_mb": resident(), "processors": os.cpu_count()})
        right = asyncio.run(bench(folder, options.keys, options.one, say))
    finally:
        shutil.rmtree(folder)
    say({"right": right})
    sys.exit(not right)


if __name__ == "__main__":
    main()
