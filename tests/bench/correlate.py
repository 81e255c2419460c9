"""Memory and speed of correlations over very many keys: `python -m tests.bench.correlate [--keys N] [--json]`.

Sends one event for each of N source addresses, and three for one in a thousand of them, through the real detect stage, bus, store and
correlate stage (the embedded ones, in this process). An event_count and a value_count of three in an hour look at every address, so that
each event is two matches. Told after each tenth: matches so far, resident memory, and matches a CPU second of the correlate stage. Ends
with 1 when what fired is not what had to.
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
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core import arrow, topics
from core.bus.contract import Record
from core.bus.embedded import EmbeddedBus
from core.clock import SystemClock, millis
from core.engine import Engine
from core.events import EVENTS
from core.storage.embedded import EmbeddedStore
from core.storage.writer import TableWriter
from detect import rules
from detect.correlation.stage import CorrelateStage
from detect.stream import Detector, DetectStage

A_BATCH: Final = 10_000
MANY, PORTS = "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003"
RULES: Final = f"""title: Denied
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


def events(keys: npt.NDArray[np.int64], ports: npt.NDArray[np.int64], first: int, start: datetime) -> pa.Table:
    """An event for each of `keys`, of raw offset `first`, a thousand a second."""
    count = len(keys)
    address = np.zeros((count, 16), np.uint8)
    address[:, 10:12] = 255
    address[:, 12:] = (0x0A000000 + keys).astype(">u4").view(np.uint8).reshape(count, 4)
    at = pa.array(millis(start) + np.arange(first * A_BATCH, first * A_BATCH + count), pa.int64()).cast(pa.timestamp("ms", "UTC"))
    given: dict[str, Any] = {
        "raw_epoch": pa.repeat("e1", count),
        "raw_offset": pa.array(np.full(count, first), pa.uint64()),
        "raw_line": pa.array(np.arange(count), pa.uint32()),
        "agency": pa.repeat("seogu", count),
        "log_class": pa.repeat("firewall", count),
        "disposition": pa.repeat("deny", count),
        "raw": pa.repeat("denied", count),
        "src_ip": pa.Array.from_buffers(pa.binary(16), count, [None, pa.py_buffer(address.tobytes())]),
        "dst_port": pa.array(ports, pa.uint16()),
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


async def bench(folder: Path, keys: int, say: Callable[[dict[str, Any]], None]) -> bool:
    clock = SystemClock()
    bus = EmbeddedBus(folder / "bus.db", partitions=4, max_backlog_bytes=8 << 30, min_free_disk_bytes=0, clock=clock)
    await bus.start()
    engine = Engine(folder / "store")
    store = EmbeddedStore(engine)
    await store.start()
    await store.migrate()
    book = rules.parse(RULES, "bench.yml")
    detector = Detector(engine, book, clock)
    detect = DetectStage(bus, detector)
    writer = TableWriter(store, EVENTS)
    stage = CorrelateStage(bus, store, book, clock, timedelta(hours=24))
    waiting, found = await bus.consumer("correlate", [topics.MATCHES]), await bus.consumer("reader", [topics.DETECTIONS])
    again = np.arange(0, keys, 1000)
    order = np.concatenate([np.arange(keys), again, again])
    ports = np.concatenate([np.full(keys, 1), np.full(len(again), 2), np.where(again % 2000 == 0, 3, 2)])
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    batches = -(-len(order) // A_BATCH)
    spent = matches = reported = 0.0
    fired: dict[str, int] = {MANY: 0, PORTS: 0}
    try:
        for number in range(batches):
            part = slice(number * A_BATCH, (number + 1) * A_BATCH)
            rows = events(order[part], ports[part], number, start)
            record = Record(topics.EVENTS, 0, number, arrow.encode(rows), {}, start)
            await writer.handle([record], 1)
            await detect.handle([record], 1)
            while records := await waiting.poll(max_messages=256, max_bytes=16 << 20, timeout=0.0):
                began = time.process_time()
                await stage.handle(records, 1)
                spent += time.process_time() - began
                matches += sum(arrow.decode(one.value).num_rows for one in records)
                await waiting.commit({(one.topic, one.partition): one.offset + 1 for one in records})
            while records := await found.poll(max_messages=256, max_bytes=16 << 20, timeout=0.0):
                for one in records:
                    for rule in arrow.decode(one.value)["rule_id"].to_pylist():
                        fired[rule] += 1
                await found.commit({(one.topic, one.partition): one.offset + 1 for one in records})
            if (number + 1) * 10 // batches > reported:
                reported = (number + 1) * 10 // batches
                say({"matches": int(matches), "resident_mb": resident(), "matches_per_cpu_second": round(matches / spent), "fired": fired})
    finally:
        detector.close()
        await bus.close()
        await store.close()
        engine.close()
    return fired == {MANY: len(again), PORTS: len(again[again % 2000 == 0])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="One JSON object a line")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bongsu-correlate-"))

    def say(result: dict[str, Any]) -> None:
        told = json.dumps(result) if options.json else ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result.items())
        sys.stdout.write(told + "\n")
        sys.stdout.flush()

    try:
        say({"keys": options.keys, "resident_mb": resident(), "processors": os.cpu_count()})
        right = asyncio.run(bench(folder, options.keys, say))
    finally:
        shutil.rmtree(folder)
    say({"right": right})
    sys.exit(not right)


if __name__ == "__main__":
    main()
